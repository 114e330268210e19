//! What a repository has to be told, and what of it cannot work.

use std::fmt;

use settle_types::Duration;

use crate::error::Error;

/// How snapshots are written, kept and collected.
///
/// Every process that uses a repository must have the same `application`, `keep`, `grace` and `superseded`: the
/// rules that keep uploads and collections apart are made of them.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// Name of the application that the snapshots belong to. A repository has one.
    pub application: String,
    /// Snapshots of a partition that are kept, besides those that are younger than the grace period.
    pub keep: usize,
    /// What is younger than this is never collected. An upload may take a quarter of it.
    pub grace: Duration,
    /// How long the snapshots of a journal topic and fold version are kept after the last of them, once the
    /// partition has newer ones of another topic or version.
    pub superseded: Duration,
    /// Files that are sent or fetched at once.
    pub concurrency: usize,
    /// Larger files are sent in parts of this size, and fetched in such ranges, in bytes. A call needs up to
    /// twice this for each file that is sent or fetched at once.
    pub part_bytes: usize,
    /// For locations that begin with `s3://`.
    pub s3: S3Options,
}

const MIB: usize = 1024 * 1024;
/// S3 takes no smaller parts.
const SMALLEST_PART_BYTES: usize = 5 * MIB;
const SHORTEST_GRACE: Duration = Duration::from_seconds(60);

impl SnapshotOptions {
    /// The defaults, for this application.
    pub fn new(application: &str) -> Self {
        Self {
            application: application.to_owned(),
            keep: 3,
            grace: Duration::from_seconds(60 * 60),
            superseded: Duration::from_days(7),
            concurrency: 8,
            part_bytes: 8 * MIB,
            s3: S3Options::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let problem = if self.application.is_empty() {
            "the application of the snapshots has no name".to_owned()
        } else if self.keep == 0 {
            "keep is 0: at least 1 snapshot has to be kept".to_owned()
        } else if self.grace < SHORTEST_GRACE {
            format!("grace is {} s: it must be at least 60 s", self.grace.as_micros() / 1_000_000)
        } else if self.superseded.as_micros() / 2 < self.grace.as_micros() {
            "superseded must be at least twice as long as grace".to_owned()
        } else if self.concurrency == 0 {
            "concurrency is 0: at least 1 file has to be sent at a time".to_owned()
        } else if self.part_bytes < SMALLEST_PART_BYTES {
            format!(
                "part_bytes is {}: object stores take no less than {SMALLEST_PART_BYTES}",
                self.part_bytes
            )
        } else {
            return Ok(());
        };
        Err(Error::InvalidOptions { what: problem })
    }

    /// How long an upload may take, and the length of a generation.
    pub(super) fn upload_limit(&self) -> std::time::Duration {
        let micros = u64::try_from(self.grace.as_micros() / 4).expect("a duration is never negative");
        std::time::Duration::from_micros(micros)
    }
}

/// How to reach S3, or a store that speaks its protocol. What is not given comes from the environment variables
/// `AWS_*`, and from the machine's role.
#[derive(Clone, Default)]
pub struct S3Options {
    /// Address of another store than that of Amazon: `https://minio.example.com:9000`.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// The bucket stands in the path of a request (`true`), or in the name of the host.
    pub path_style: Option<bool>,
    /// Allows an endpoint without TLS.
    pub allow_http: bool,
    /// Key id of the credentials.
    pub access_key_id: Option<String>,
    /// Secret of the credentials.
    pub secret_access_key: Option<String>,
    /// Token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Options {
    /// Without the secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3Options")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .field("allow_http", &self.allow_http)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_cannot_work_are_named() {
        let good = SnapshotOptions::new("settle");
        good.check().expect("the defaults work");
        let short = Duration::from_seconds(59);
        let cases = [
            (SnapshotOptions { application: String::new(), ..good.clone() }, "the application"),
            (SnapshotOptions { keep: 0, ..good.clone() }, "keep is 0"),
            (SnapshotOptions { grace: short, ..good.clone() }, "grace is 59 s"),
            (SnapshotOptions { superseded: good.grace, ..good.clone() }, "superseded must"),
            (SnapshotOptions { concurrency: 0, ..good.clone() }, "concurrency is 0"),
            (SnapshotOptions { part_bytes: MIB, ..good }, "part_bytes is 1048576"),
        ];
        for (options, beginning) in cases {
            let error = options.check().expect_err(beginning);
            assert_eq!(error.code(), "STL-0210");
            assert!(error.to_string().starts_with(beginning), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let s3 = S3Options {
            access_key_id: Some("key-id".to_owned()),
            secret_access_key: Some("hidden-secret".to_owned()),
            session_token: Some("hidden-token".to_owned()),
            ..S3Options::default()
        };
        let shown = format!("{:?}", SnapshotOptions { s3, ..SnapshotOptions::new("settle") });
        assert!(!shown.contains("hidden") && !shown.contains("key-id"), "{shown}");
    }
}
