//! Requests to a registry: several addresses, bounded rounds with pauses, and what a failure means.
//!
//! Owns connecting, TLS, credentials, time limits and the reading of failures. Must not know what is asked.

use std::error::Error as _;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::{Certificate, Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::Error;
use super::options::RegistryOptions;

/// An answer is a schema or a list of numbers; more than this is not one of a registry.
const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// Words of an answer that are worth passing on.
const MAX_DETAIL_CHARS: usize = 500;

/// Time until a connection stands, at most: an address that is gone must not use up the time of the next.
const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, application/json";

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Segments of the path after the address, not encoded.
    pub(super) path: &'a [&'a str],
    pub(super) query: Option<(&'static str, &'static str)>,
    pub(super) body: Option<&'a serde_json::Value>,
}

impl<'a> Request<'a> {
    pub(super) fn get(path: &'a [&'a str]) -> Self {
        Self { method: Method::GET, path, query: None, body: None }
    }

    pub(super) fn with_body(method: Method, path: &'a [&'a str], body: &'a serde_json::Value) -> Self {
        Self { method, path, query: None, body: Some(body) }
    }

    fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }
}

/// What a registry answered, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    url: String,
    request: String,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error_code: Option<u32>,
    #[serde(default)]
    message: Option<String>,
}

impl Answer {
    /// The body of a success.
    pub(super) fn read<T: DeserializeOwned>(&self, expected: &'static str) -> Result<T, Error> {
        if !(200..300).contains(&self.status) {
            return Err(self.refused());
        }
        serde_json::from_slice(&self.body).map_err(|_| self.malformed(expected))
    }

    /// The registry's own code of an error, such as 40403. None in the answers of proxies and other servers.
    pub(super) fn error_code(&self) -> Option<u32> {
        serde_json::from_slice::<ErrorBody>(&self.body).ok()?.error_code
    }

    /// The registry's words.
    pub(super) fn detail(&self) -> String {
        let message = serde_json::from_slice::<ErrorBody>(&self.body).ok().and_then(|body| body.message);
        let text = message.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut detail: String = line.chars().take(MAX_DETAIL_CHARS).collect();
        if detail.is_empty() {
            "no words".clone_into(&mut detail);
        }
        detail
    }

    /// The error of an answer that is no success and has no meaning of its own. "Not found" without one of the
    /// registry's codes is the answer of a wrong address, not of a registry that lacks something.
    pub(super) fn refused(&self) -> Error {
        let is_redirect = (300..400).contains(&self.status);
        let is_of_registry = self.error_code().is_some_and(|code| (40_400..40_500).contains(&code));
        if is_redirect || (self.status == 404 && !is_of_registry) {
            return self.malformed("the answer of a schema registry");
        }
        Error::Refused {
            url: self.url.clone(),
            request: self.request.clone(),
            status: self.status,
            detail: self.detail(),
        }
    }

    pub(super) fn malformed(&self, expected: &'static str) -> Error {
        let words: String = self.detail().chars().take(80).collect();
        Error::Malformed {
            url: self.url.clone(),
            request: self.request.clone(),
            found: format!("{} {words:?}", self.status),
            expected,
        }
    }
}

/// A client of all addresses of a registry.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    urls: Vec<Url>,
    /// Index of the address that answered last.
    preferred: AtomicUsize,
    requests: AtomicU64,
    failures: AtomicU64,
    options: RegistryOptions,
}

impl Http {
    /// Reads the certificates; does not connect.
    pub(super) fn new(options: RegistryOptions) -> Result<Self, Error> {
        let urls = options.checked_urls()?;
        // If another part of the process has chosen one, that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let timeout = options.request_timeout();
        let mut builder = Client::builder()
            .user_agent(concat!("settle/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .connect_timeout(timeout.min(MAX_CONNECT_TIMEOUT))
            .pool_idle_timeout(Duration::from_secs(30))
            // A registry answers itself; and a redirected POST would arrive as a GET.
            .redirect(reqwest::redirect::Policy::none())
            // Where requests go is configuration, not the environment.
            .no_proxy();
        if let Some(path) = &options.ca_file {
            builder = builder.tls_certs_only(read_certificates(path)?);
        } else if urls.iter().all(|url| url.scheme() == "http") {
            // A machine without certificates can do without TLS.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| Error::InvalidOptions {
            what: format!("the client of the schema registry cannot be set up: {}", causes(&error)),
        })?;
        if options.basic_auth.is_some() && urls.iter().any(|url| url.scheme() == "http") {
            tracing::warn!("the schema registry's password goes over a connection that is not encrypted");
        }
        Ok(Self {
            client,
            urls,
            preferred: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            options,
        })
    }

    pub(super) fn options(&self) -> &RegistryOptions {
        &self.options
    }

    /// Requests since the start, and those among them that got no usable answer.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
    }

    /// Asks in as many rounds as the options say.
    pub(super) fn ask(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let mut round = 1;
        loop {
            match self.ask_once(request) {
                Err(Error::Unreachable { url, detail }) if round < self.options.attempts => {
                    let pause = self.options.backoff(round);
                    tracing::warn!(%url, detail, ?pause, round, "the schema registry cannot be reached");
                    std::thread::sleep(pause);
                    round += 1;
                }
                result => return result,
            }
        }
    }

    /// Asks each address once, beginning with the one that answered last, until one answers.
    pub(super) fn ask_once(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = None;
        for step in 0..self.urls.len() {
            let index = (first + step) % self.urls.len();
            self.requests.fetch_add(1, Ordering::Relaxed);
            let error = match self.send(&self.urls[index], request) {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            self.failures.fetch_add(1, Ordering::Relaxed);
            // A certificate does not get better by waiting: that failure is the one to report.
            if !matches!(failure, Some(Error::Tls { .. } | Error::Unauthorized { .. })) {
                failure = Some(error);
            }
        }
        Err(failure.expect("a registry has an address: the options were checked"))
    }

    fn send(&self, base: &Url, request: &Request<'_>) -> Result<Answer, Error> {
        let mut url = base.clone();
        url.path_segments_mut()
            .expect("an http address has a path: the options were checked")
            .pop_if_empty()
            .extend(request.path);
        if let Some((name, value)) = request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut builder = self.client.request(request.method.clone(), url).header("Accept", ACCEPT);
        if let Some(auth) = &self.options.basic_auth {
            builder = builder.basic_auth(&auth.user, Some(&auth.secret));
        }
        if let Some(body) = request.body {
            builder = builder.body(body.to_string()).header("Content-Type", CONTENT_TYPE);
        }
        let response = builder.send().map_err(|error| failure_of(base, &error))?;
        let answer = read_answer(base, request, response)?;
        let is_temporary = |status: StatusCode| {
            status.is_server_error()
                || status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::REQUEST_TIMEOUT
        };
        match StatusCode::from_u16(answer.status) {
            Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(Error::Unauthorized {
                url: base.to_string(),
                status: answer.status,
                request: answer.request.clone(),
                detail: answer.detail(),
            }),
            Ok(status) if is_temporary(status) => Err(Error::Unreachable {
                url: base.to_string(),
                detail: format!("it answers {} to {}: {}", answer.status, answer.request, answer.detail()),
            }),
            _ => Ok(answer),
        }
    }
}

fn read_answer(base: &Url, request: &Request<'_>, response: Response) -> Result<Answer, Error> {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    response.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut body).map_err(|error| Error::Unreachable {
        url: base.to_string(),
        detail: format!("its answer breaks off: {}", causes(&error)),
    })?;
    let is_too_long = u64::try_from(body.len()).is_ok_and(|length| length > MAX_ANSWER_BYTES);
    if is_too_long {
        return Err(Error::Malformed {
            url: base.to_string(),
            request: request.name(),
            found: format!("more than {MAX_ANSWER_BYTES} bytes"),
            expected: "the answer of a schema registry",
        });
    }
    Ok(Answer { status, url: base.to_string(), request: request.name(), body })
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, Error> {
    let invalid = |what: String| Error::InvalidOptions {
        what: format!("the registry's ca_file {}: {what}", path.display()),
    };
    let pem = std::fs::read(path).map_err(|error| invalid(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| invalid(causes(&error)))?;
    if certificates.is_empty() {
        return Err(invalid("it has no certificate in PEM".to_owned()));
    }
    Ok(certificates)
}

fn failure_of(base: &Url, error: &reqwest::Error) -> Error {
    let url = base.to_string();
    if let Some(tls) = tls_error(error) {
        return Error::Tls { url, detail: describe_tls(tls) };
    }
    let detail = if error.is_timeout() { "no answer in time".to_owned() } else { causes(error) };
    Error::Unreachable { url, detail }
}

/// The TLS failure behind an error. An I/O error hides the one that it wraps from the chain of causes.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = wrapped.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(tls);
        }
        cause = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn describe_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let rustls::Error::InvalidCertificate(reason) = error else { return error.to_string() };
    match reason {
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            format!("the certificate has expired ({reason})")
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            format!("the certificate is not valid yet ({reason})")
        }
        Certificate::UnknownIssuer => "nobody that is trusted has issued the certificate".to_owned(),
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            format!("the certificate is for another host name ({reason})")
        }
        _ => error.to_string(),
    }
}

/// An error with all its causes: the outermost of reqwest only says that sending failed. Without the address,
/// which the caller names.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if error.downcast_ref::<reqwest::Error>().is_none() && !words.contains(&text) {
            words.push(text);
        }
        cause = error.source();
    }
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}
