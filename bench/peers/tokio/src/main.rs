// SPDX-License-Identifier: MIT

//! The workloads with Tokio's multi-threaded runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, mpsc as queue, oneshot, RwLock, Semaphore};

fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|l| l.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn cpu_seconds() -> f64 {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

async fn spawn_join(rounds: u64) -> u64 {
    let ran = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::with_capacity(1000);
    for _ in 0..rounds {
        tasks.extend((0..1000).map(|_| {
            let ran = ran.clone();
            tokio::spawn(async move { ran.fetch_add(1, Relaxed) })
        }));
        for task in tasks.drain(..) {
            task.await.unwrap();
        }
    }
    ran.load(Relaxed)
}

/// From this thread, which is not one of the runtime's.
fn spawn_inject(rt: &Runtime, n: u64) -> u64 {
    let ran = Arc::new(AtomicU64::new(0));
    let (done, wait) = mpsc::sync_channel(1);
    for _ in 0..n {
        let (ran, done) = (ran.clone(), done.clone());
        rt.spawn(async move {
            if ran.fetch_add(1, Relaxed) + 1 == n {
                done.send(()).unwrap();
            }
        });
    }
    if n > 0 {
        wait.recv().unwrap();
    }
    ran.load(Relaxed)
}

async fn yields(n: u64) -> u64 {
    let mut done = 0;
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..n {
                    tokio::task::yield_now().await;
                }
                n
            })
        })
        .collect();
    for task in tasks {
        done += task.await.unwrap();
    }
    done
}

fn node(ordinal: u64, leaves: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return ordinal;
        }
        let child = leaves / 10;
        let tasks: Vec<_> = (0..10)
            .map(|i| tokio::spawn(node(ordinal + i * child, child)))
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    })
}

fn random_ms(state: &mut u64) -> Duration {
    *state = state.wrapping_add(0x9e3779b97f4a7c15);
    let z = *state;
    let z = (z ^ z >> 30).wrapping_mul(0xbf58476d1ce4e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d049bb133111eb);
    Duration::from_millis((z ^ z >> 31) % 1000)
}

async fn sleep(span: Duration) -> Duration {
    let start = Instant::now();
    tokio::time::sleep(span).await;
    start.elapsed() - span
}

async fn timers(n: u64) -> Vec<Duration> {
    let mut seed = 1;
    let tasks: Vec<_> = (0..n)
        .map(|_| tokio::spawn(sleep(random_ms(&mut seed))))
        .collect();
    let mut late = Vec::with_capacity(tasks.len());
    for task in tasks {
        late.push(task.await.unwrap());
    }
    late
}

async fn mixed_latency(workers: usize, n: u64) -> Vec<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let computing: Vec<_> = (0..2 * workers)
        .map(|_| {
            let stop = stop.clone();
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_micros(100) {}
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut late = Vec::with_capacity(n as usize);
    for _ in 0..n {
        late.push(sleep(Duration::from_millis(1)).await);
    }
    stop.store(true, Relaxed);
    for task in computing {
        task.await.unwrap();
    }
    late
}

async fn offload(n: u64) -> u64 {
    let ran = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let ran = ran.clone();
            tokio::spawn(async move {
                for _ in 0..n / 64 {
                    let ran = ran.clone();
                    tokio::task::spawn_blocking(move || ran.fetch_add(1, Relaxed))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    ran.load(Relaxed)
}

/// A semaphore without permits is the event: closing it ends every wait.
async fn idle_memory(n: u64) -> (Duration, f64) {
    let event = Arc::new(Semaphore::new(0));
    let waiting = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::with_capacity(n as usize);
    let before = status("VmRSS");
    let start = Instant::now();
    for _ in 0..n {
        let (event, waiting) = (event.clone(), waiting.clone());
        tasks.push(tokio::spawn(async move {
            waiting.fetch_add(1, Relaxed);
            event.acquire().await.unwrap_err();
        }));
    }
    while waiting.load(Relaxed) < n {
        tokio::task::yield_now().await;
    }
    let took = start.elapsed();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let bytes = (status("VmRSS") - before) * 1024.0 / n as f64;
    let start = Instant::now();
    event.close();
    for task in tasks {
        task.await.unwrap();
    }
    (took + start.elapsed(), bytes)
}

/// As many runtimes, one after the other, each of which runs one empty future.
fn start_stop(workers: usize, n: u64) -> u64 {
    let ran = AtomicU64::new(0);
    for _ in 0..n {
        runtime(workers).block_on(async { ran.fetch_add(1, Relaxed) });
    }
    ran.load(Relaxed)
}

/// The time from the first abort to the end of the last task, and how many were cancelled.
async fn cancel_sleepers(n: u64) -> (Duration, u64) {
    let waiting = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..n)
        .map(|_| {
            let waiting = waiting.clone();
            tokio::spawn(async move {
                waiting.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_secs(3600)).await;
            })
        })
        .collect();
    while waiting.load(Relaxed) < n {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (start, mut cancelled) = (Instant::now(), 0);
    for task in &tasks {
        task.abort();
    }
    for task in tasks {
        cancelled += task.await.unwrap_err().is_cancelled() as u64;
    }
    (start.elapsed(), cancelled)
}

/// What one side sends the other: where to send the next one. None: that was the last.
struct Turn(Option<oneshot::Sender<Turn>>);

/// Makes `n` hops, each answered by one of the other side; returns the hops it has received.
async fn side(n: u64, mut next: oneshot::Receiver<Turn>) -> u64 {
    for received in 1..=n {
        let Turn(answer) = next.await.unwrap();
        let (to_us, from_other) = oneshot::channel();
        next = from_other;
        let last = received == n;
        if let Some(answer) = answer {
            let _ = answer.send(Turn(if last { None } else { Some(to_us) }));
        }
    }
    n
}

/// Two sides on loops of their own, or on one; n hops each.
fn done_roundtrip(workers: usize, n: u64) -> u64 {
    let (first, turn) = oneshot::channel();
    let (to_us, answer) = oneshot::channel();
    let current = || Builder::new_current_thread().build().unwrap();
    first.send(Turn(Some(to_us))).ok().unwrap();
    if workers == 1 {
        return current().block_on(async {
            let other = tokio::spawn(side(n, turn));
            side(n, answer).await + other.await.unwrap()
        });
    }
    let other = std::thread::spawn(move || current().block_on(side(n, turn)));
    current().block_on(side(n, answer)) + other.join().unwrap()
}

/// One item to 1000 tasks that wait for it, and the next one when all have it.
async fn broadcasts(n: u64) -> u64 {
    let (sender, _) = broadcast::channel(16);
    let (all_have_it, mut wait) = queue::channel(1);
    let arrived = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let mut receiver = sender.subscribe();
            let (arrived, all_have_it) = (arrived.clone(), all_have_it.clone());
            tokio::spawn(async move {
                let mut sum = 0;
                while let Ok(item) = receiver.recv().await {
                    sum += item;
                    if (arrived.fetch_add(1, Relaxed) + 1) % 1000 == 0 {
                        all_have_it.send(()).await.unwrap();
                    }
                }
                sum
            })
        })
        .collect();
    for i in 1..=n {
        sender.send(i).unwrap();
        wait.recv().await.unwrap();
    }
    drop(sender);
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap();
    }
    sum
}

/// One task gets from 8 queues, by lot where several have something.
async fn selects(n: u64) -> u64 {
    let mut queues: Vec<_> = (0..8)
        .map(|i| {
            let (put, get) = queue::channel(16);
            tokio::spawn(async move {
                for item in n * i / 8..n * (i + 1) / 8 {
                    put.send(item).await.unwrap();
                }
                // It stays open, so that no branch is switched off.
                put.closed().await;
            });
            get
        })
        .collect();
    let (a, b, c, d, e, f, g, h) = match &mut queues[..] {
        [a, b, c, d, e, f, g, h] => (a, b, c, d, e, f, g, h),
        _ => unreachable!(),
    };
    let mut sum = 0;
    for _ in 0..n {
        sum += tokio::select! {
            Some(item) = a.recv() => item,
            Some(item) = b.recv() => item,
            Some(item) = c.recv() => item,
            Some(item) = d.recv() => item,
            Some(item) = e.recv() => item,
            Some(item) = f.recv() => item,
            Some(item) = g.recv() => item,
            Some(item) = h.recv() => item,
            else => unreachable!(),
        };
    }
    sum
}

/// A table that 8 tasks read 19 times of 20, and write else.
async fn rwlocks(n: u64) -> u64 {
    let table = Arc::new(RwLock::new(0u64));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let table = table.clone();
            tokio::spawn(async move {
                let mut seen = 0;
                for i in 0..n / 8 {
                    if i % 20 == 19 {
                        *table.write().await += 1;
                    } else {
                        let value = *table.read().await;
                        assert!(value >= seen);
                        seen = value;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let writes = *table.read().await;
    writes * 20
}

/// 64 tasks on 8 permits, each of which keeps its permit while it gives way.
async fn semaphores(n: u64) -> u64 {
    let semaphore = Arc::new(Semaphore::new(8));
    let (inside, entered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (semaphore, inside, entered) = (semaphore.clone(), inside.clone(), entered.clone());
            tokio::spawn(async move {
                for _ in 0..n {
                    let _permit = semaphore.acquire().await.unwrap();
                    assert!(inside.fetch_add(1, Relaxed) < 8);
                    entered.fetch_add(1, Relaxed);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    entered.load(Relaxed)
}

struct Line {
    workload: String,
    workers: usize,
    n: u64,
}

impl Line {
    fn print(&self, ops: u64, took: Duration, check: u64, extra: &str) {
        println!(
            "{{\"peer\":\"tokio\",\"version\":\"{}\",\"workload\":\"{}\",\"workers\":{},\"n\":{},\"ops\":{},\
             \"seconds\":{:.6},\"ns_per_op\":{:.3},\"check\":{},\"peak_rss_kib\":{}{}}}",
            option_env!("TOKIO_VERSION").unwrap_or("1"),
            self.workload,
            self.workers,
            self.n,
            ops,
            took.as_secs_f64(),
            took.as_nanos() as f64 / ops as f64,
            check,
            status("VmHWM"),
            extra
        );
    }

    /// The warm-up, then the measured run; the usual line.
    fn measure(&self, ops: u64, warm: u64, run: impl Fn(u64) -> u64) {
        run(warm);
        let start = Instant::now();
        let check = run(self.n);
        self.print(ops, start.elapsed(), check, "");
    }

    fn measure_late(&self, run: impl Fn(u64) -> Vec<Duration>) {
        run(self.n / 10);
        let (used, start) = (cpu_seconds(), Instant::now());
        let mut late = run(self.n);
        let (took, used) = (start.elapsed(), cpu_seconds() - used);
        late.sort_unstable();
        let us = |i: usize| late[i].as_nanos() as f64 / 1e3;
        let extra = format!(
            ",\"cpu_seconds\":{:.4},\"p50_late_us\":{:.1},\"p99_late_us\":{:.1},\"max_late_us\":{:.1}",
            used,
            us(late.len() / 2),
            us(late.len() * 99 / 100),
            us(late.len() - 1)
        );
        self.print(self.n, took, late.len() as u64, &extra);
    }
}

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap()
}

/// Runs the future as a task, on a worker, and waits for it here.
fn on<T: Send + 'static>(rt: &Runtime, f: impl Future<Output = T> + Send + 'static) -> T {
    rt.block_on(rt.spawn(f)).unwrap()
}

async fn echo(mut client: TcpStream) {
    let mut buf = [0u8; 4096];
    while let Ok(n) = client.read(&mut buf).await {
        if n == 0 || client.write_all(&buf[..n]).await.is_err() {
            return;
        }
    }
}

async fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(echo(client));
    }
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = rayon::join(|| fib(n - 1), || fib(n - 2));
    a + b
}

/// fib again and again, on as many threads of rayon's, and once a second how often.
fn compute(workers: usize, n: u64) {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .build()
        .unwrap();
    let (mut start, mut times) = (Instant::now(), 0);
    loop {
        assert!(pool.install(|| fib(n)) > 0);
        times += 1;
        let took = start.elapsed().as_secs_f64();
        if took >= 1.0 {
            eprintln!("fib({}) {:.1} times a second", n, times as f64 / took);
            (start, times) = (Instant::now(), 0);
        }
    }
}

fn main() {
    let mut port = 0;
    let mut line = Line {
        workload: std::env::args().nth(1).unwrap_or_default(),
        workers: 2,
        n: 0,
    };
    for arg in std::env::args().skip(2) {
        match arg.split_once('=') {
            Some(("--workers", v)) => line.workers = v.parse().unwrap(),
            Some(("--n", v)) => line.n = v.parse().unwrap(),
            Some(("--port", v)) => port = v.parse().unwrap(),
            _ => panic!("cannot use {}", arg),
        }
    }
    if line.n == 0 {
        line.n = match line.workload.as_str() {
            "skynet" => 6,
            "echo_fib" => 35,
            "spawn_inject" => 1_000_000,
            "timers" | "idle_memory" | "cancel_sleepers" | "done_roundtrip" => 100_000,
            "offload" => 200_000,
            "mixed_latency" => 2000,
            "select" => 1_000_000,
            "rwlock" => 2_000_000,
            "semaphore" => 20_000,
            _ => 1000,
        };
    }
    let (n, workers) = (line.n, line.workers);
    match line.workload.as_str() {
        "start_stop" => return line.measure(n, n / 10, |n| start_stop(workers, n)),
        "done_roundtrip" => {
            return line.measure(2 * n, n / 10, |n| done_roundtrip(workers, n))
        }
        _ => (),
    }
    let rt = runtime(workers);
    match line.workload.as_str() {
        "echo_fib" => {
            std::thread::spawn(move || compute(workers as usize, n));
            on(&rt, serve(port))
        }
        "spawn_join" => line.measure(n * 1000, n / 10, |n| on(&rt, spawn_join(n))),
        "spawn_inject" => line.measure(n, n / 10, |n| spawn_inject(&rt, n)),
        "yield" => line.measure(n * 1000, n / 10, |n| on(&rt, yields(n))),
        "skynet" => line.measure((10u64.pow(n as u32 + 1) - 1) / 9, n - 1, |n| {
            on(&rt, node(0, 10u64.pow(n as u32)))
        }),
        "offload" => line.measure(n - n % 64, n / 10, |n| on(&rt, offload(n))),
        "broadcast" => line.measure(n * 1000, n / 10, |n| on(&rt, broadcasts(n))),
        "select" => line.measure(n, n / 10, |n| on(&rt, selects(n))),
        "rwlock" => line.measure(n - n % 160, n / 10, |n| on(&rt, rwlocks(n - n % 160))),
        "semaphore" => line.measure(n * 64, n / 10, |n| on(&rt, semaphores(n))),
        "timers" => line.measure_late(|n| on(&rt, timers(n))),
        "mixed_latency" => line.measure_late(|n| on(&rt, mixed_latency(workers, n))),
        "idle_memory" => {
            let (took, bytes) = on(&rt, idle_memory(n));
            line.print(n, took, n, &format!(",\"bytes_per_task\":{:.1}", bytes));
        }
        "cancel_sleepers" => {
            on(&rt, cancel_sleepers(n / 10));
            let (took, cancelled) = on(&rt, cancel_sleepers(n));
            line.print(n, took, cancelled, "");
        }
        _ => {
            eprintln!("tokio: cannot express this one");
            std::process::exit(3);
        }
    }
}
