//! `ptvsd-bridge`: a debug adapter for programs that host a legacy ptvsd
//! debug server.

mod cli;
mod dap;
mod demo;
mod doctor;
mod environment;
mod list;
mod rescue;
mod shutdown;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::environment::Machine;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let machine = Machine::start_logging();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ptvsd-bridge: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match cli.command.unwrap_or_default() {
            Command::Dap(arguments) => dap::run(&arguments, machine).await,
            Command::List(arguments) => list::run(&arguments).await,
            Command::Doctor(arguments) => doctor::run(&arguments).await,
            Command::Rescue(arguments) => rescue::run(&arguments).await,
            Command::Demo(arguments) => demo::run(&arguments).await,
        }
    });
    // A read of stdin that is under way cannot be ended, and must not keep
    // the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ptvsd-bridge: {error:#}");
            if let Some(remedy) = error.downcast_ref().and_then(cli::remedy) {
                eprintln!("{remedy}");
            }
            ExitCode::FAILURE
        }
    }
}
