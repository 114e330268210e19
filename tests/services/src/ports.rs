//! Ports on 127.0.0.1 that belong to one service for as long as its lease lives.
//!
//! They lie below the range from which Linux takes the ports of outgoing connections: a service that is killed
//! and started again must find its port free, and a client that keeps trying a closed port of that range may
//! connect to itself. A lock file per port keeps the test programs of one machine apart.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, Result, random};

/// The first port that is given out.
const FIRST: u16 = 15_000;
/// How many ports there are to give out: up to 31,999.
const COUNT: u16 = 17_000;

/// A free port of 127.0.0.1. It stays reserved, against other leases, until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    // The lock ends with the file.
    _lock: File,
}

impl Port {
    /// Reserves a port that nobody listens on.
    pub fn lease() -> Result<Self> {
        let folder = std::env::temp_dir().join("settle-ports");
        fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
        let start = random_below(COUNT);
        for step in 0..COUNT {
            let number = FIRST + (start + step) % COUNT;
            let path = folder.join(number.to_string());
            let lock = File::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(source)) => {
                    return Err(Error::Io { doing: format!("lock {}", path.display()), source });
                }
            }
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(Error::Options { detail: format!("no port from {FIRST} on is free on 127.0.0.1") })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

fn random_below(bound: u16) -> u16 {
    u16::try_from(random::bits() % u64::from(bound)).expect("a remainder is below its u16 divisor")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn leased_ports_differ_and_can_be_listened_on() {
        let ports: Vec<Port> = (0..50).map(|_| Port::lease().expect("a port is free")).collect();
        let numbers: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 50);
        for number in numbers {
            TcpListener::bind((Ipv4Addr::LOCALHOST, number)).expect("a leased port is free");
        }
    }

    #[test]
    fn a_port_in_use_is_not_leased() {
        // All but a few ports cannot be taken here, so ask for the same one again through its lock.
        let port = Port::lease().expect("a port is free");
        let path = std::env::temp_dir().join("settle-ports").join(port.number().to_string());
        let again = File::create(path).expect("the lock file can be opened");
        assert!(matches!(again.try_lock(), Err(TryLockError::WouldBlock)));
        drop(port);
        again.try_lock().expect("the lease has ended");
    }
}
