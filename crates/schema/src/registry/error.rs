//! What can go wrong with the schema registry, in the words of the person who has to act on it.
//!
//! Owns the codes STL-0501 to STL-0599. Every error says what happened and where; [`Error::hint`] says what to do
//! next; [`Error::code`] names its page. None of them holds the password.
//!
//! | code | variant | meaning |
//! |---|---|---|
//! | STL-0501 | [`Error::Unreachable`] | no address gives a usable answer |
//! | STL-0502 | [`Error::Unauthorized`] | the registry wants other credentials |
//! | STL-0503 | [`Error::Tls`] | the certificate of the registry is not accepted |
//! | STL-0504 | [`Error::Incompatible`] | a registered version and our schema do not fit |
//! | STL-0505 | [`Error::WeakerLevel`] | the subject allows changes that break readers |
//! | STL-0506 | [`Error::NotRegistered`] | our schema is not there, and may not be registered |
//! | STL-0507 | [`Error::Malformed`] | the answer is not one of a registry |
//! | STL-0508 | [`Error::Refused`] | the registry refuses a request |
//! | STL-0509 | [`Error::InvalidOptions`] | a setting that cannot work |

/// An error of the registry's client. The module's documentation lists the codes.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No address gives a usable answer.
    #[error("the schema registry at {url} cannot be reached: {detail}")]
    Unreachable {
        /// The address tried last.
        url: String,
        /// The failure in the words of the system, or the registry's answer.
        detail: String,
    },
    /// The registry wants other credentials.
    #[error("the schema registry at {url} answers {status} to {request}: {detail}")]
    Unauthorized {
        /// The address.
        url: String,
        /// HTTP status, 401 or 403.
        status: u16,
        /// Method and path.
        request: String,
        /// The registry's words.
        detail: String,
    },
    /// The certificate of the registry is not accepted, or the handshake fails.
    #[error("no secure connection to the schema registry at {url}: {detail}")]
    Tls {
        /// The address.
        url: String,
        /// What is wrong, such as "the certificate has expired".
        detail: String,
    },
    /// A registered version and our schema do not fit.
    #[error("our schema for {subject} is not compatible with {version}: {what}")]
    Incompatible {
        /// The subject.
        subject: String,
        /// `version 3`, or `the registered versions` where the registry does not say which.
        version: String,
        /// The field and what about it.
        what: String,
    },
    /// The subject's compatibility level allows changes that break readers.
    #[error("{subject} has the compatibility level {level}, expected FULL_TRANSITIVE")]
    WeakerLevel {
        /// The subject.
        subject: String,
        /// The level found.
        level: String,
    },
    /// The registry does not have our schema, and it may not be registered.
    #[error("{subject} does not have the schema of this version ({schema}), and auto_register is off")]
    NotRegistered {
        /// The subject.
        subject: String,
        /// Full name of the record.
        schema: String,
    },
    /// The answer is not one of a registry.
    #[error("{url} answers {request} with {found}, expected {expected}")]
    Malformed {
        /// The address.
        url: String,
        /// Method and path.
        request: String,
        /// What came.
        found: String,
        /// What a registry answers.
        expected: &'static str,
    },
    /// The registry refuses a request.
    #[error("the schema registry at {url} refuses {request} with {status}: {detail}")]
    Refused {
        /// The address.
        url: String,
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// The registry's words.
        detail: String,
    },
    /// A setting that cannot work.
    #[error("{what}")]
    InvalidOptions {
        /// What was given and what is accepted.
        what: String,
    },
}

impl Error {
    /// Stable code of the error's page in the documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "STL-0501",
            Self::Unauthorized { .. } => "STL-0502",
            Self::Tls { .. } => "STL-0503",
            Self::Incompatible { .. } => "STL-0504",
            Self::WeakerLevel { .. } => "STL-0505",
            Self::NotRegistered { .. } => "STL-0506",
            Self::Malformed { .. } => "STL-0507",
            Self::Refused { .. } => "STL-0508",
            Self::InvalidOptions { .. } => "STL-0509",
        }
    }

    /// What to do next, as one sentence or two.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "Check that the registry runs and that the address, port and network path are right. A worker \
                 that runs already goes on with the schemas that it knows."
            }
            Self::Unauthorized { .. } => {
                "Check user and password. Settle reads schemas, subjects and levels; it writes schemas and the \
                 level of new subjects only where auto_register is on."
            }
            Self::Tls { .. } => {
                "Renew the registry's certificate if it has expired; name the file of its issuer as ca_file if \
                 it is not a public one; use the host name that stands in the certificate."
            }
            Self::Incompatible { .. } => {
                "Nothing was registered for it. If an upstream team registered that version, it has to register \
                 a compatible one and delete this; otherwise use the release of Settle that fits."
            }
            Self::WeakerLevel { .. } => {
                "Set it: PUT /config/<subject> with {\"compatibility\": \"FULL_TRANSITIVE\"}. Settle sets it only \
                 for subjects that it creates."
            }
            Self::NotRegistered { .. } => {
                "Register the file of schemas/ under the subject, as docs/schemas.md shows, or switch \
                 auto_register on for one start."
            }
            Self::Malformed { .. } => {
                "Check the path of the address: with Apicurio it ends in /apis/ccompat/v7, with Confluent it is \
                 empty. A proxy may have answered in place of the registry."
            }
            Self::Refused { .. } => "See the registry's words; it may be in read-only mode.",
            Self::InvalidOptions { .. } => "Correct the setting that the message names.",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn one_of_each() -> Vec<Error> {
        let url = String::from("http://registry:8081");
        let request = String::from("GET /subjects");
        let detail = String::from("connection refused");
        let subject = String::from("payments.requested-value");
        vec![
            Error::Unreachable { url: url.clone(), detail: detail.clone() },
            Error::Unauthorized {
                url: url.clone(),
                status: 401,
                request: request.clone(),
                detail: detail.clone(),
            },
            Error::Tls { url: url.clone(), detail: detail.clone() },
            Error::Incompatible { subject: subject.clone(), version: "version 3".into(), what: "x".into() },
            Error::WeakerLevel { subject: subject.clone(), level: "BACKWARD".into() },
            Error::NotRegistered { subject, schema: "settle.v1.PaymentRequested".into() },
            Error::Malformed {
                url: url.clone(),
                request: request.clone(),
                found: "HTML".into(),
                expected: "JSON",
            },
            Error::Refused { url, request, status: 422, detail },
            Error::InvalidOptions { what: "the registry has no address".into() },
        ]
    }

    #[test]
    fn codes_are_distinct_consecutive_and_listed_in_the_table() {
        let errors = one_of_each();
        let codes: BTreeSet<&str> = errors.iter().map(Error::code).collect();
        let expected: BTreeSet<String> = (501..501 + errors.len()).map(|n| format!("STL-{n:04}")).collect();
        assert_eq!(codes, expected.iter().map(String::as_str).collect());
        let documentation = include_str!("error.rs");
        for code in codes {
            assert!(documentation.contains(&format!("//! | {code} |")), "{code} is missing from the table");
        }
    }

    #[test]
    fn every_error_has_a_message_and_a_hint() {
        for error in one_of_each() {
            assert!(error.to_string().len() > 20, "{error}");
            assert!(error.hint().ends_with('.'), "{}", error.hint());
        }
    }
}
