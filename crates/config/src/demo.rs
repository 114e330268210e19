//! The configuration of `settle demo`: a small acquirer in Prague with merchants in two zones.
//!
//! It is a file, so that the demo can leave it beside its data for the next commands. Its limits and its deny list
//! are those that the generated traffic runs into.

use crate::config::Config;

/// The text of the file.
pub const DEMO_TOML: &str = include_str!("demo.toml");

/// The configuration of `settle demo`, without the directory of its data.
pub fn demo_config() -> Config {
    toml::from_str(DEMO_TOML).expect("the file is part of the program, and a test reads it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_sound() {
        let config = demo_config();
        assert_eq!(crate::check(&config), []);
        assert_eq!(config.clock.mode, settle_engine::ClockMode::Event);
        let kept: Vec<_> = config.contracts.0.values().filter(|contract| contract.reserve_days > 0).collect();
        assert!(kept.len() >= 2, "some merchants leave a reserve");
        let zones: std::collections::BTreeSet<_> =
            config.contracts.0.values().map(|contract| contract.time_zone.as_str()).collect();
        assert!(zones.len() >= 2, "{zones:?}");
    }
}
