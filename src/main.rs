//! linkgate.
use linkgate::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let out = if args[1] == "demo" {
        runtime.block_on(cli::demo::run("127.0.0.1:8080".parse().unwrap(), None))
    } else {
        let env = linkgate::config::Environment::process();
        runtime.block_on(cli::serve::run(std::path::Path::new(&args[3]), &env))
    };
    if let Err(e) = out {
        eprintln!("{e:?}");
        std::process::exit(1)
    }
}
