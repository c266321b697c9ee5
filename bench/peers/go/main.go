// SPDX-License-Identifier: MIT

// The workloads with goroutines and channels; the workers are GOMAXPROCS.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func status(key string) int64 {
	data, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, key+":") {
			kib, _ := strconv.ParseInt(strings.Fields(line)[1], 10, 64)
			return kib
		}
	}
	return -1
}

// run starts count goroutines of f and waits until all have ended.
func run(count int, f func(i int)) {
	var wg sync.WaitGroup
	wg.Add(count)
	for i := 0; i < count; i++ {
		go func(i int) {
			f(i)
			wg.Done()
		}(i)
	}
	wg.Wait()
}

func spawnJoin(rounds int) int64 {
	var ran atomic.Int64
	for ; rounds > 0; rounds-- {
		run(1000, func(int) { ran.Add(1) })
	}
	return ran.Load()
}

func yield(n int) int64 {
	var done atomic.Int64
	run(1000, func(int) {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
		done.Add(int64(n))
	})
	return done.Load()
}

func node(ordinal, leaves int64, parent chan<- int64) {
	if leaves == 1 {
		parent <- ordinal
		return
	}
	sums := make(chan int64, 10)
	for i := int64(0); i < 10; i++ {
		go node(ordinal+i*(leaves/10), leaves/10, sums)
	}
	var sum int64
	for i := 0; i < 10; i++ {
		sum += <-sums
	}
	parent <- sum
}

// selects has one goroutine receive from 8 channels; select draws lots.
func selects(n int) int64 {
	var queues [8]chan int64
	for i := range queues {
		queues[i] = make(chan int64, 16)
		go func(i, n int) {
			for item := n * i / 8; item < n*(i+1)/8; item++ {
				queues[i] <- int64(item)
			}
		}(i, n)
	}
	var sum, item int64
	for ; n > 0; n-- {
		select {
		case item = <-queues[0]:
		case item = <-queues[1]:
		case item = <-queues[2]:
		case item = <-queues[3]:
		case item = <-queues[4]:
		case item = <-queues[5]:
		case item = <-queues[6]:
		case item = <-queues[7]:
		}
		sum += item
	}
	return sum
}

// rwlocks has 8 goroutines read a table 19 times of 20, and write it else.
func rwlocks(n int) int64 {
	var lock sync.RWMutex
	var value int64
	var all sync.WaitGroup
	n -= n % 160
	all.Add(8)
	for t := 0; t < 8; t++ {
		go func() {
			var seen int64
			for i := 0; i < n/8; i++ {
				if i%20 == 19 {
					lock.Lock()
					value++
					lock.Unlock()
					continue
				}
				lock.RLock()
				if value < seen {
					panic("went back")
				}
				seen = value
				lock.RUnlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	return value * 20
}

func power10(e int) int64 {
	if e <= 0 {
		return 1
	}
	return 10 * power10(e-1)
}

func skynet(levels int) int64 {
	root := make(chan int64, 1)
	go node(0, power10(levels), root)
	return <-root
}

func randomMs(state *uint64) time.Duration {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return time.Duration((z^z>>31)%1000) * time.Millisecond
}

var late []time.Duration

func timers(n int) int64 {
	seed := uint64(1)
	late = make([]time.Duration, n)
	spans := make([]time.Duration, n)
	for i := range spans {
		spans[i] = randomMs(&seed)
	}
	run(n, func(i int) {
		start := time.Now()
		time.Sleep(spans[i])
		late[i] = time.Since(start) - spans[i]
	})
	return int64(n)
}

func mixedLatency(n int) int64 {
	var stop atomic.Bool
	late = make([]time.Duration, n)
	count := 2 * runtime.GOMAXPROCS(0)
	run(count+1, func(i int) {
		for i < count && !stop.Load() {
			for start := time.Now(); time.Since(start) < 100*time.Microsecond; {
			}
			runtime.Gosched()
		}
		for k := 0; i == count && k < n; k++ {
			start := time.Now()
			time.Sleep(time.Millisecond)
			late[k] = time.Since(start) - time.Millisecond
		}
		stop.Store(true)
	})
	return int64(n)
}

// Go has no pool for blocking calls, so this is one: four goroutines that keep their threads.
func offload(n int) int64 {
	var ran atomic.Int64
	calls := make(chan chan struct{})
	for i := 0; i < 4; i++ {
		go func() {
			runtime.LockOSThread()
			for ended := range calls {
				ran.Add(1)
				ended <- struct{}{}
			}
		}()
	}
	run(64, func(int) {
		ended := make(chan struct{}, 1)
		for k := 0; k < n/64; k++ {
			calls <- ended
			<-ended
		}
	})
	close(calls)
	return ran.Load()
}

func idleMemory(n int) (took time.Duration, bytes float64) {
	var wg sync.WaitGroup
	var waiting atomic.Int64
	event := make(chan struct{})
	before := status("VmRSS")
	start := time.Now()
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			waiting.Add(1)
			<-event
			wg.Done()
		}()
	}
	for waiting.Load() < int64(n) {
		runtime.Gosched()
	}
	took = time.Since(start)
	time.Sleep(50 * time.Millisecond)
	bytes = float64(status("VmRSS")-before) * 1024 / float64(n)
	start = time.Now()
	close(event)
	wg.Wait()
	return took + time.Since(start), bytes
}

// Each goroutine has a context of its own, cancelled one after the other; the time of that and of the ends.
func cancelSleepers(n int) (took time.Duration, cancelled int64) {
	var wg sync.WaitGroup
	var waiting, ended atomic.Int64
	cancel := make([]context.CancelFunc, n)
	wg.Add(n)
	for i := range cancel {
		var ctx context.Context
		ctx, cancel[i] = context.WithCancel(context.Background())
		go func() {
			waiting.Add(1)
			timer := time.NewTimer(time.Hour)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				ended.Add(1)
			}
			wg.Done()
		}()
	}
	for waiting.Load() < int64(n) {
		runtime.Gosched()
	}
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	for _, f := range cancel {
		f()
	}
	wg.Wait()
	return time.Since(start), ended.Load()
}

func hello(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "Hello, World!")
}

// httpServer serves until the process is ended.
func httpServer(port int) {
	log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", port), http.HandlerFunc(hello)))
}

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func lateMembers() string {
	sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
	us := func(i int) float64 { return float64(late[i].Nanoseconds()) / 1e3 }
	return fmt.Sprintf(",\"p50_late_us\":%.1f,\"p99_late_us\":%.1f,\"max_late_us\":%.1f",
		us(len(late)/2), us(len(late)*99/100), us(len(late)-1))
}

type workload struct {
	run  func(n int) int64
	n    int
	warm func(n int) int
	ops  func(n int) int64
}

func tenth(n int) int { return n / 10 }

func times(k int64) func(int) int64 { return func(n int) int64 { return k * int64(n) } }

var workloads = map[string]workload{
	"spawn_join": {spawnJoin, 1000, tenth, times(1000)},
	"select":     {selects, 1000000, tenth, times(1)},
	"rwlock":     {rwlocks, 2000000, tenth, func(n int) int64 { return int64(n - n%160) }},
	"yield":      {yield, 1000, tenth, times(1000)},
	"skynet": {skynet, 6, func(n int) int { return n - 1 },
		func(n int) int64 { return (power10(n+1) - 1) / 9 }},
	"timers":          {timers, 100000, tenth, times(1)},
	"offload":         {offload, 200000, tenth, func(n int) int64 { return int64(n - n%64) }},
	"mixed_latency":   {mixedLatency, 2000, tenth, times(1)},
	"idle_memory":     {nil, 100000, nil, times(1)},
	"cancel_sleepers": {nil, 100000, nil, times(1)},
}

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	name := os.Args[1]
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	workers := flags.Int("workers", 2, "GOMAXPROCS")
	size := flags.Int("n", 0, "size of the work")
	port := flags.Int("port", 0, "of a server")
	flags.Parse(os.Args[2:])
	if name == "http_server" {
		runtime.GOMAXPROCS(*workers)
		httpServer(*port)
	}
	w, known := workloads[name]
	if !known {
		fmt.Fprintln(os.Stderr, "go: cannot express this one")
		os.Exit(3)
	}
	runtime.GOMAXPROCS(*workers)
	n := *size
	if n == 0 {
		n = w.n
	}
	var took time.Duration
	var bytes float64
	check, extra := int64(n), ""
	if name == "cancel_sleepers" {
		cancelSleepers(n / 10)
		took, check = cancelSleepers(n)
	} else if w.run == nil {
		took, bytes = idleMemory(n)
		extra = fmt.Sprintf(",\"bytes_per_task\":%.1f", bytes)
	} else {
		w.run(w.warm(n))
		used, start := cpu(), time.Now()
		check = w.run(n)
		took = time.Since(start)
		if len(late) > 0 {
			extra = fmt.Sprintf(",\"cpu_seconds\":%.4f", cpu()-used) + lateMembers()
		}
	}
	ops := w.ops(n)
	fmt.Printf("{\"peer\":\"go\",\"version\":\"%s\",\"workload\":\"%s\",\"workers\":%d,\"n\":%d,\"ops\":%d,"+
		"\"seconds\":%.6f,\"ns_per_op\":%.3f,\"check\":%d,\"peak_rss_kib\":%d%s}\n",
		runtime.Version(), name, *workers, n, ops, took.Seconds(), float64(took.Nanoseconds())/float64(ops),
		check, status("VmHWM"), extra)
}
