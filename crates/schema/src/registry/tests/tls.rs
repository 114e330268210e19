//! Certificates: trusted, untrusted, expired, for another host.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

use super::server::Server;
use super::{options, schema_body};
use crate::{BuiltIn, Registry, RegistryError, RegistryOptions};

/// Somebody who vouches for servers.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Self { issuer, folder: TempDir::new().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        let path = self.folder.path().join("ca.pem");
        std::fs::write(&path, self.issuer.as_ref().pem()).expect("a file");
        path
    }

    /// A registry whose certificate is for `host` and good until the beginning of `year`.
    fn server(&self, host: &str, year: i32) -> Server {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key is the certificate's");
        let server = Server::start_tls(config);
        server.answer("GET /schemas/ids/7", 200, schema_body(BuiltIn::Payout.text()));
        server
    }
}

fn fetch(server: &Server, ca_file: PathBuf) -> Result<bool, RegistryError> {
    let options = RegistryOptions { ca_file: Some(ca_file), ..options(server) };
    let schema = Registry::connect(options)?.fetch(7)?;
    Ok(schema.is_some_and(|schema| schema.version_of() == Some(BuiltIn::Payout)))
}

#[test]
fn a_registry_that_somebody_trusted_vouches_for() {
    let authority = Authority::new("an authority");
    let server = authority.server("localhost", 2099);
    assert!(fetch(&server, authority.file()).expect("trusted"));
}

#[test]
fn certificates_that_are_not_accepted_say_why() {
    let authority = Authority::new("an authority");
    let stranger = Authority::new("a stranger");
    let cases = [
        (authority.server("localhost", 2021), authority.file(), "has expired"),
        (authority.server("localhost", 2099), stranger.file(), "nobody that is trusted"),
        (authority.server("registry.example", 2099), authority.file(), "another host name"),
    ];
    for (server, ca_file, expected) in cases {
        let error = fetch(&server, ca_file).expect_err(expected);
        assert_eq!(error.code(), "STL-0503", "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(server.seen().is_empty(), "nothing is asked over such a connection");
    }
}

#[test]
fn a_server_without_tls_is_said_to_be_one() {
    let server = Server::start();
    let urls = vec![server.url().replace("http://", "https://")];
    let authority = Authority::new("an authority");
    let options = RegistryOptions { urls, ca_file: Some(authority.file()), ..options(&server) };
    let error = Registry::connect(options).expect("valid options").fetch(7).expect_err("no TLS");
    assert!(matches!(error.code(), "STL-0501" | "STL-0503"), "{error}");
}

#[test]
fn files_that_hold_no_certificate_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").expect("a file");
    for ca_file in [empty, folder.path().join("absent.pem")] {
        let urls = vec!["https://localhost:1".to_owned()];
        let options = RegistryOptions { urls, ca_file: Some(ca_file), ..RegistryOptions::default() };
        let error = Registry::connect(options).expect_err("no certificate");
        assert_eq!(error.code(), "STL-0509", "{error}");
        assert!(error.to_string().contains(".pem"), "{error}");
    }
}
