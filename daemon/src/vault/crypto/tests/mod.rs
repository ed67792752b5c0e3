mod keyfile;
mod master;
mod pair;
mod shares;
mod wrapped;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{KeyFault, Master};

/// Bytes of hexadecimal digits.
fn hex(digits: &str) -> Vec<u8> {
    let digits: String = digits.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn vault() -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_3f2a_9c41)
}

/// A master password that is the same in every run.
fn master() -> Master {
    master_of(std::array::from_fn(|place| u8::try_from(place * 7 % 256).unwrap()))
}

fn master_of(bytes: [u8; 32]) -> Master {
    Master::of(Zeroizing::new(bytes))
}

/// The fault alone, of what has no `Debug`.
fn fault<T>(result: Result<T, KeyFault>) -> KeyFault {
    match result {
        Ok(_) => panic!("this is no key"),
        Err(fault) => fault,
    }
}
