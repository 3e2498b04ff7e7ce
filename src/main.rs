//! The command line: parses, dispatches, and is the only place that exits. 0 done, 1 failed, 2 wrong usage or
//! configuration.

use std::process::ExitCode;

use clap::Parser as _;

use linkgate::cli;
use linkgate::cli::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Two megabytes at a time, of which little is used: three times the memory, and no request the faster for it.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // Nobody was faster: the program has only begun.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments = cli::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot start: {error}"), 1),
    };
    match runtime.block_on(cli::run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => complain(&why, 1),
        Err(Failure::Usage(why)) => complain(&why, 2),
    }
}

fn complain(why: &str, code: u8) -> ExitCode {
    use std::io::Write as _;
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::from(code)
}
