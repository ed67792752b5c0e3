//! How many connections a process may hold.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process, and the ones that it starts, hold `wanted` open files. Says what to do where it may not.
pub fn allow_open_files(wanted: u64) -> Result<(), String> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
    if soft >= wanted {
        return Ok(());
    }
    // Root may go beyond the hard limit; others up to it.
    let raised = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard));
    match raised {
        Ok(())
            if hard >= wanted
                || getrlimit(Resource::RLIMIT_NOFILE).is_ok_and(|(soft, _)| soft >= wanted) =>
        {
            Ok(())
        }
        _ => Err(format!(
            "{wanted} open files are needed and this account may have {hard}: run `ulimit -Hn {wanted}` as root \
             first, or ask for fewer devices"
        )),
    }
}
