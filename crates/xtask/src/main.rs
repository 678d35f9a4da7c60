//! `xtask SHARE`: writes man pages and shell completions below the folder SHARE, where an
//! installed package has them (`$out/share`).

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(share), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: xtask SHARE, the folder that gets man/man1 and the shells' folders");
        return ExitCode::from(2);
    };
    match xtask::write(Path::new(&share)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}
