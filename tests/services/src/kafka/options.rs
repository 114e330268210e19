//! What a test can ask of a cluster.

use crate::tls::Certificate;
use crate::{Error, Result};

/// What a test can ask of a cluster. The default is one plaintext broker that starts quickly.
#[derive(Clone, Debug)]
pub struct Options {
    /// 1 or 3. Internal topics and new topics have as many replicas.
    pub brokers: u16,
    /// How clients connect.
    pub security: Security,
    /// Which certificate the brokers show, with TLS.
    pub certificate: Certificate,
    /// Users that exist from the start, with SASL.
    pub users: Vec<User>,
    /// Whether clients need ACLs: without one, a user may do nothing. Needs SASL, where users have names.
    pub acls: bool,
    /// Starts quickly, or runs fast.
    pub jvm: Jvm,
    /// Broker settings that replace those of this crate, by their Kafka names.
    pub extra: Vec<(String, String)>,
    /// One port per broker that clients are told instead of the broker's own: where the proxies listen.
    pub advertised_ports: Option<Vec<u16>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            brokers: 1,
            security: Security::Plaintext,
            certificate: Certificate::Valid,
            users: Vec::new(),
            acls: false,
            jvm: Jvm::QuickStart,
            extra: Vec::new(),
            advertised_ports: None,
        }
    }
}

impl Options {
    /// Adds or replaces a broker setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |detail: String| Err(Error::Options { detail });
        if self.brokers != 1 && self.brokers != 3 {
            return refuse(format!("{} brokers: 1 or 3 are expected", self.brokers));
        }
        if let Some(ports) = &self.advertised_ports
            && ports.len() != usize::from(self.brokers)
        {
            return refuse(format!("{} advertised ports for {} brokers", ports.len(), self.brokers));
        }
        let uses_sasl = matches!(self.security, Security::SaslSsl(_));
        if self.acls && !uses_sasl {
            return refuse("ACLs without SASL: every client would be the same anonymous user".to_owned());
        }
        if !self.users.is_empty() && !uses_sasl {
            return refuse("users without SASL: nobody could log in".to_owned());
        }
        if self.certificate != Certificate::Valid && !self.security.uses_tls() {
            return refuse("a certificate without TLS: nobody would see it".to_owned());
        }
        Ok(())
    }
}

/// How clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS with a server certificate; clients are anonymous.
    Tls,
    /// TLS, and a name and password.
    SaslSsl(Scram),
}

impl Security {
    /// True if the brokers need a certificate.
    pub(super) fn uses_tls(self) -> bool {
        self != Self::Plaintext
    }

    /// The name that the brokers' listener map uses.
    pub(super) fn listener_protocol(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Tls => "SSL",
            Self::SaslSsl(_) => "SASL_SSL",
        }
    }

    /// The name that librdkafka uses.
    pub(super) fn client_protocol(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls => "ssl",
            Self::SaslSsl(_) => "sasl_ssl",
        }
    }
}

/// How a password is checked without sending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scram {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl Scram {
    /// Its standard name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }
}

/// A name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its password, of a test: it is shown in settings and process lists.
    pub password: String,
}

impl User {
    /// A user by name and password.
    pub fn new(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), password: password.to_owned() }
    }
}

/// How a broker's Java runtime is tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jvm {
    /// The first compiler only, a small heap: for tests of seconds.
    QuickStart,
    /// Both compilers, a heap of 1 GB: for tests that move millions of records.
    LongRun,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(options: &Options) -> String {
        options.check().expect_err("it is refused").to_string()
    }

    #[test]
    fn the_default_works() {
        Options::default().check().expect("it is fine");
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        assert!(refusal(&Options { brokers: 2, ..Options::default() }).contains("2 brokers"));
        assert!(refusal(&Options { acls: true, ..Options::default() }).contains("ACLs without SASL"));
        let users = vec![User::new("alice", "secret")];
        assert!(refusal(&Options { users, ..Options::default() }).contains("users without SASL"));
        let ports = Some(vec![1, 2]);
        let options = Options { brokers: 3, advertised_ports: ports, ..Options::default() };
        assert!(refusal(&options).contains("2 advertised ports for 3 brokers"));
        let options = Options { certificate: Certificate::Expired, ..Options::default() };
        assert!(refusal(&options).contains("a certificate without TLS"));
    }
}
