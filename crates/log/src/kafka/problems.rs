//! What went wrong with a cluster lately, and the errors that it becomes.
//!
//! librdkafka reports most failures of connections beside the call that suffers from them. Owns the memory of them, so
//! that a call that only ran out of time can say why. Must not know which call that was.

use std::sync::Mutex;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::Error;

/// Kinds of problems that an operator tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// User, password or mechanism were refused.
    Authentication,
    /// The encrypted connection did not come about.
    Tls,
    /// An access right is missing.
    Authorization,
    /// Nobody answered.
    Transport,
}

/// A problem and librdkafka's words for it.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    pub(super) what: String,
}

/// The last problem of the clients of a process.
#[derive(Debug, Default)]
pub(super) struct Problems(Mutex<Option<Problem>>);

impl Problems {
    /// Notes a problem. One that an operator has to solve is not replaced by the mere silence that follows it.
    pub(super) fn note(&self, code: RDKafkaErrorCode, what: &str) {
        let Some(kind) = kind_of(code, what) else { return };
        let mut last = self.lock();
        let is_more_telling =
            last.as_ref().is_none_or(|last| last.kind == Kind::Transport || kind != Kind::Transport);
        if is_more_telling {
            *last = Some(Problem { kind, what: what.to_owned() });
        }
    }

    /// Forgets all of them: the cluster answered.
    pub(super) fn clear(&self) {
        *self.lock() = None;
    }

    /// The last problem.
    pub(super) fn last(&self) -> Option<Problem> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Problem>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn kind_of(code: RDKafkaErrorCode, what: &str) -> Option<Kind> {
    use RDKafkaErrorCode as Code;
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed => Some(Kind::Authentication),
        Code::SSL => Some(Kind::Tls),
        // A broker that closes the connection in the middle of a handshake is reported as a plain disconnect.
        Code::BrokerTransportFailure if what.contains("SSL handshake") => Some(Kind::Tls),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => Some(Kind::Authorization),
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::OperationTimedOut => {
            Some(Kind::Transport)
        }
        _ => None,
    }
}

/// Makes errors of calls to one cluster.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    pub(super) brokers: String,
    pub(super) problems: std::sync::Arc<Problems>,
}

impl Errors {
    /// The error of a failed call, in words that an operator can act on. `subject` is what the call was about: a topic,
    /// a group, a transactional id.
    pub(super) fn of(&self, operation: &'static str, subject: &str, error: &KafkaError) -> Error {
        use RDKafkaErrorCode as Code;
        let Some(code) = code_of(error) else {
            return Error::Kafka { operation, subject: subject.to_owned(), what: error.to_string() };
        };
        match code {
            Code::UnknownTopicOrPartition | Code::UnknownTopic => {
                Error::UnknownTopic { topic: subject.to_owned() }
            }
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed => {
                Error::NotAuthorized { operation, subject: subject.to_owned(), what: code.to_string() }
            }
            Code::FencedInstanceId => Error::DuplicateInstance { identity: subject.to_owned() },
            Code::ProducerFenced | Code::InvalidProducerEpoch | Code::Fenced => {
                Error::ProducerFenced { transactional_id: subject.to_owned() }
            }
            Code::Authentication | Code::SaslAuthenticationFailed => {
                Error::Authentication { brokers: self.brokers.clone(), what: error.to_string() }
            }
            Code::OperationTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve => {
                self.silence(operation, subject)
            }
            _ => Error::Kafka { operation, subject: subject.to_owned(), what: error.to_string() },
        }
    }

    /// The error of a call that ran out of time: with the reason, if one is known.
    pub(super) fn silence(&self, operation: &'static str, subject: &str) -> Error {
        let brokers = self.brokers.clone();
        match self.problems.last() {
            Some(Problem { kind: Kind::Authentication, what }) => Error::Authentication { brokers, what },
            Some(Problem { kind: Kind::Tls, what }) => Error::Tls { brokers, what },
            Some(Problem { kind: Kind::Authorization, what }) => {
                Error::NotAuthorized { operation, subject: subject.to_owned(), what }
            }
            Some(Problem { kind: Kind::Transport, what }) => Error::Unreachable { brokers, operation, what },
            None => Error::Unreachable { brokers, operation, what: "no answer in time".to_owned() },
        }
    }
}

/// The code of librdkafka or Kafka that an error carries.
pub(super) fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(inner) => Some(inner.code()),
        other => other.rdkafka_error_code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_password_is_not_forgotten_for_the_disconnect_after_it() {
        let problems = Problems::default();
        problems.note(RDKafkaErrorCode::BrokerTransportFailure, "connection refused");
        problems.note(RDKafkaErrorCode::Authentication, "invalid credentials");
        problems.note(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        let errors = Errors { brokers: "b:9092".to_owned(), problems: problems.into() };
        assert_eq!(errors.silence("connect", "").code(), "STL-0119");
    }

    #[test]
    fn codes_become_errors_that_an_operator_tells_apart() {
        let errors = Errors { brokers: "b:9092".to_owned(), problems: std::sync::Arc::default() };
        let cases = [
            (RDKafkaErrorCode::UnknownTopicOrPartition, "STL-0101"),
            (RDKafkaErrorCode::ProducerFenced, "STL-0113"),
            (RDKafkaErrorCode::AllBrokersDown, "STL-0118"),
            (RDKafkaErrorCode::Authentication, "STL-0119"),
            (RDKafkaErrorCode::GroupAuthorizationFailed, "STL-0121"),
            (RDKafkaErrorCode::FencedInstanceId, "STL-0122"),
            (RDKafkaErrorCode::MessageSizeTooLarge, "STL-0124"),
        ];
        for (code, expected) in cases {
            assert_eq!(errors.of("read", "t", &KafkaError::Global(code)).code(), expected, "{code:?}");
        }
    }
}
