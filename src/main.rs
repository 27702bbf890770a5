//! The binary: hands the command line to [`scheduler0::cli`] and leaves with its exit code.

/// Every call, entry and block is a handful of small allocations that often end on another thread than
/// they began on: measured, the system's allocator took an eighth of the processor.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    scheduler0::cli::main()
}
