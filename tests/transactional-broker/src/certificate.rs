//! TLS with a certificate that is made for the occasion.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Speaks TLS as `name` (a host name or an address), with a certificate of an authority whose own goes to `authority`.
pub fn acceptor(name: &str, authority: &Path) -> io::Result<TlsAcceptor> {
    let (chain, key) = certificate(name, authority).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

type Certificate = tokio_rustls::rustls::pki_types::CertificateDer<'static>;

fn certificate(
    name: &str,
    authority: &Path,
) -> Result<(Certificate, PrivateKeyDer<'static>), Box<dyn std::error::Error + Send + Sync>> {
    let mut ours = CertificateParams::default();
    ours.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ours.distinguished_name.push(DnType::CommonName, "authority of a test");
    let key = KeyPair::generate()?;
    std::fs::write(authority, ours.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(ours, key);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?;
    Ok((certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der())?))
}
