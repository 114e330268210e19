//! Certificates for services on 127.0.0.1: an authority, what it signs, and what a client must refuse.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::{Error, Result};

/// Which certificate a service shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost` and 127.0.0.1, valid for decades.
    Valid,
    /// For `localhost` and 127.0.0.1, expired since 2001.
    Expired,
    /// For another host, valid for decades.
    WrongHost,
}

/// A certificate authority of its own. For a client that must refuse a service, make a second one and let the
/// client trust only that.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

/// A certificate with its private key.
#[derive(Debug)]
pub struct Identity {
    key_pem: String,
    chain_pem: String,
}

impl Authority {
    /// Makes an authority with this common name.
    pub fn new(name: &str) -> Result<Self> {
        let doing = format!("the certificate of the authority '{name}'");
        let key = KeyPair::generate().map_err(refused(&doing))?;
        let mut params = CertificateParams::new(Vec::new()).map_err(refused(&doing))?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2000, 1, 1);
        let certificate = params.self_signed(&key).map_err(refused(&doing))?;
        Ok(Self { certificate_pem: certificate.pem(), issuer: Issuer::new(params, key) })
    }

    /// Its certificate, for those who trust it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate for a service.
    pub fn server(&self, certificate: Certificate) -> Result<Identity> {
        let hosts = match certificate {
            Certificate::Valid | Certificate::Expired => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            Certificate::WrongHost => vec!["elsewhere.invalid".to_owned()],
        };
        let last_year = if certificate == Certificate::Expired { 2001 } else { 4096 };
        self.sign("settle-test-server", hosts, last_year, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client, with this common name.
    pub fn client(&self, name: &str) -> Result<Identity> {
        self.sign(name, Vec::new(), 4096, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        name: &str,
        hosts: Vec<String>,
        last_year: i32,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        let doing = format!("the certificate of '{name}'");
        let key = KeyPair::generate().map_err(refused(&doing))?;
        let mut params = CertificateParams::new(hosts).map_err(refused(&doing))?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused(&doing))?;
        Ok(Identity {
            key_pem: key.serialize_pem(),
            chain_pem: format!("{}{}", certificate.pem(), self.certificate_pem),
        })
    }
}

impl Identity {
    /// The private key, PKCS #8 in PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The certificate and that of its authority, in PEM.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// Key and certificates in one text, as Kafka wants them.
    pub fn key_and_chain_pem(&self) -> String {
        format!("{}{}", self.key_pem, self.chain_pem)
    }
}

fn refused(what: &str) -> impl Fn(rcgen::Error) -> Error {
    move |error| Error::Certificate { what: what.to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{CertificateError, RootCertStore};

    use super::*;

    /// What a client that trusts `trusted` makes of a server's certificate at 127.0.0.1.
    fn verify(trusted: &Authority, server: &Identity) -> std::result::Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(trusted.certificate_pem().as_bytes()).expect("a certificate");
        roots.add(ca).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier");
        let chain: Vec<_> = CertificateDer::pem_slice_iter(server.chain_pem().as_bytes())
            .collect::<std::result::Result<_, _>>()
            .expect("certificates");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()).map(|_| ())
    }

    fn refusal(trusted: &Authority, server: &Identity) -> CertificateError {
        match verify(trusted, server) {
            Err(rustls::Error::InvalidCertificate(reason)) => reason,
            other => panic!("it was not refused for its certificate: {other:?}"),
        }
    }

    #[test]
    fn each_certificate_is_wrong_in_its_own_way() {
        let authority = Authority::new("one").expect("an authority");
        let other = Authority::new("other").expect("an authority");
        let server = |certificate| authority.server(certificate).expect("a certificate");
        let valid = server(Certificate::Valid);
        verify(&authority, &valid).expect("it is trusted");
        assert_eq!(refusal(&other, &valid), CertificateError::UnknownIssuer);
        let expired = refusal(&authority, &server(Certificate::Expired));
        assert!(matches!(expired, CertificateError::ExpiredContext { .. }), "{expired:?}");
        let wrong_host = refusal(&authority, &server(Certificate::WrongHost));
        assert!(matches!(wrong_host, CertificateError::NotValidForNameContext { .. }), "{wrong_host:?}");
    }
}
