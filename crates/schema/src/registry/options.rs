//! How to reach a registry, and what to do there at the start.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::error::Error;

/// User and password for HTTP's basic authentication. Not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// Name of the user, or of an API key.
    pub user: String,
    /// Password, or secret of the API key.
    pub secret: String,
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BasicAuth").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What to do about a subject whose compatibility level allows changes that Settle cannot follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeakerLevel {
    /// Do not start.
    #[default]
    Fail,
    /// Say so in the log, and start.
    Warn,
}

/// Settings of a registry's client. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Addresses of the registry, with the path of its API, without user and password. The first that answers
    /// is used; the others when it no longer does.
    pub urls: Vec<String>,
    /// User and password, if the registry asks for them.
    pub basic_auth: Option<BasicAuth>,
    /// Certificates, in PEM, that may vouch for the registry. Without them: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether schemas that the registry does not have are registered at the start.
    pub auto_register: bool,
    /// What to do about a subject with a weaker level than FULL_TRANSITIVE.
    pub weaker_level: WeakerLevel,
    /// Time for one request, from connecting to the last byte of the answer.
    pub request_timeout_ms: u64,
    /// Rounds over all addresses at the start and for what is waited for, before it is an error.
    pub attempts: u32,
    /// Pause after the first failed round; each further one is twice as long.
    pub backoff_ms: u64,
    /// Pause between two rounds, at most.
    pub max_backoff_ms: u64,
    /// Schemas kept in memory, at most. Those that the process writes with are not counted.
    pub cached_schemas: usize,
    /// Answers "not found" after which an id counts as unknown: a registry of several nodes may not have a new
    /// schema everywhere at once.
    pub unknown_confirmations: u32,
    /// Time after which an unknown id is asked for again.
    pub unknown_ttl_ms: u64,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            basic_auth: None,
            ca_file: None,
            auto_register: false,
            weaker_level: WeakerLevel::Fail,
            request_timeout_ms: 5_000,
            attempts: 5,
            backoff_ms: 250,
            max_backoff_ms: 10_000,
            cached_schemas: 1_000,
            unknown_confirmations: 3,
            unknown_ttl_ms: 60_000,
        }
    }
}

impl RegistryOptions {
    /// The addresses, each checked.
    pub(super) fn checked_urls(&self) -> Result<Vec<Url>, Error> {
        let invalid = |what: String| Error::InvalidOptions { what };
        if self.urls.is_empty() {
            return Err(invalid("the registry has no address".to_owned()));
        }
        let mut urls = Vec::with_capacity(self.urls.len());
        for (index, text) in self.urls.iter().enumerate() {
            // A text that does not parse may still hold a password, so it is not quoted.
            let number = index + 1;
            let url: Url = text
                .parse()
                .map_err(|error| invalid(format!("address {number} of the registry is no URL: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
                return Err(invalid(format!("address {number} of the registry is not http:// or https://")));
            }
            if !url.username().is_empty() || url.password().is_some() {
                let place = "user and password have settings of their own";
                return Err(invalid(format!("address {number} of the registry has a user in it: {place}")));
            }
            if url.query().is_some() || url.fragment().is_some() {
                return Err(invalid(format!("address {number} of the registry has a query or fragment")));
            }
            urls.push(url);
        }
        let counts = [
            ("request_timeout_ms", self.request_timeout_ms),
            ("attempts", u64::from(self.attempts)),
            ("backoff_ms", self.backoff_ms),
            ("unknown_confirmations", u64::from(self.unknown_confirmations)),
            ("cached_schemas", u64::try_from(self.cached_schemas).unwrap_or(u64::MAX)),
        ];
        for (name, value) in counts {
            if value == 0 {
                return Err(invalid(format!("the registry's {name} is 0, expected at least 1")));
            }
        }
        Ok(urls)
    }

    /// The pause after `failures` failed rounds in a row.
    pub(super) fn backoff(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let pause_ms = self.backoff_ms.saturating_mul(1 << doublings);
        Duration::from_millis(pause_ms.min(self.max_backoff_ms.max(self.backoff_ms)))
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_url(url: &str) -> RegistryOptions {
        RegistryOptions { urls: vec![url.to_owned()], ..RegistryOptions::default() }
    }

    #[test]
    fn addresses_are_checked_and_not_quoted() {
        assert!(with_url("https://registry:8081/apis/ccompat/v7").checked_urls().is_ok());
        let cases =
            ["", "registry", "registry:8081", "ftp://registry", "http://me:hidden@registry", "http://r/?a=b"];
        for url in cases {
            let error = with_url(url).checked_urls().expect_err(url);
            assert_eq!(error.code(), "STL-0509", "{url}");
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
        assert!(RegistryOptions::default().checked_urls().is_err(), "no address");
        let zero = RegistryOptions { attempts: 0, ..with_url("http://registry") };
        assert!(zero.checked_urls().expect_err("no attempt").to_string().contains("attempts"));
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let options =
            RegistryOptions { backoff_ms: 100, max_backoff_ms: 1_000, ..RegistryOptions::default() };
        let pauses: Vec<u128> = (0..7).map(|failures| options.backoff(failures).as_millis()).collect();
        assert_eq!(pauses, [100, 100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(options.backoff(u32::MAX).as_millis(), 1_000);
    }

    #[test]
    fn secrets_are_not_printed() {
        let auth = BasicAuth { user: "settle".to_owned(), secret: "hidden".to_owned() };
        let options = RegistryOptions { basic_auth: Some(auth), ..RegistryOptions::default() };
        let printed = format!("{options:?}");
        assert!(printed.contains("settle") && !printed.contains("hidden"), "{printed}");
    }
}
