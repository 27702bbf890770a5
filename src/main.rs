//! The binary: hands the command line to [`scheduler0::cli`] and leaves with its exit code.

fn main() -> std::process::ExitCode {
    scheduler0::cli::main()
}
