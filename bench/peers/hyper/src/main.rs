// SPDX-License-Identifier: MIT

// The workload http_server with hyper on Tokio's multi-threaded runtime; the workers are its threads.
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Method, Request, Response, Server, StatusCode};
use std::convert::Infallible;

async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    if request.method() != Method::GET || request.uri().path() != "/" {
        let mut none = Response::new(Body::empty());
        *none.status_mut() = StatusCode::NOT_FOUND;
        return Ok(none);
    }
    let mut hello = Response::new(Body::from("Hello, World!"));
    hello
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(hello)
}

async fn serve(port: u16) {
    let service =
        make_service_fn(|_| async { Ok::<_, Infallible>(service_fn(answer)) });
    Server::bind(&([127, 0, 0, 1], port).into())
        .http1_only(true)
        .tcp_nodelay(true)
        .serve(service)
        .await
        .unwrap();
}

fn main() {
    let (mut workers, mut port) = (2, 0);
    if std::env::args().nth(1).as_deref() != Some("http_server") {
        eprintln!("hyper: cannot express this one");
        std::process::exit(3);
    }
    for arg in std::env::args().skip(2) {
        match arg.split_once('=') {
            Some(("--workers", v)) => workers = v.parse().unwrap(),
            Some(("--port", v)) => port = v.parse().unwrap(),
            Some(("--n", _)) => (),
            _ => panic!("cannot use {}", arg),
        }
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap()
        .block_on(serve(port));
}
