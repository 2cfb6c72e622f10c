//! TLS in both directions, with certificates that are replaced while connections live.

use super::{SetupError, TlsConfig, VerifyClient};
use arc_swap::ArcSwap;
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names that are taken from one certificate.
const NAMES_MAX: usize = 64;

/// What is known of a connection's peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerFacts {
    /// The SIP domains for which the peer's verified certificate stands (RFC 5922 section 7.1); empty without one.
    pub certificate_names: Vec<String>,
}

/// Our certificate of the moment; every new handshake takes it from here.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Both directions of TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    current: Arc<Current>,
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, SetupError> {
        let provider = Arc::new(ring::default_provider());
        let key = certified(&config.chain, &config.key, &provider)?;
        let current = Arc::new(Current(ArcSwap::from_pointee(key)));
        let refused = |e: rustls::Error| SetupError::Certificate(e.to_string());

        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_client_cert_verifier(verifier(config, &provider)?)
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(roots(&config.server_ca)?)
            .with_client_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesClientCert>);
        Ok(Self { current, server: Arc::new(server), client: Arc::new(client) })
    }

    /// New handshakes take the new certificate; connections that stand are not touched.
    pub(crate) fn reload(&self, chain: &[u8], key: &[u8]) -> Result<(), SetupError> {
        let key = certified(chain, key, &ring::default_provider())?;
        self.current.0.store(Arc::new(key));
        Ok(())
    }
}

fn verifier(config: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, SetupError> {
    if config.verify_client == VerifyClient::Off {
        return Ok(Arc::new(NoClientAuth));
    }
    let roots = Arc::new(roots(&config.client_ca)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = match config.verify_client {
        VerifyClient::Required => builder,
        VerifyClient::Optional | VerifyClient::Off => builder.allow_unauthenticated(),
    };
    let verifier = builder.build();
    verifier.map_err(|e| SetupError::Certificate(format!("client_ca: {e}")))
}

/// Reads chain and key and checks that they belong together.
fn certified(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, SetupError> {
    let chain = certificates(chain)?;
    if chain.is_empty() {
        return Err(SetupError::Certificate("the chain is empty".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| SetupError::Certificate(format!("private key: {e}")))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|e| SetupError::Certificate(format!("chain and key: {e}")))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| SetupError::Certificate(e.to_string()))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    // System bundles hold certificates that rustls cannot use; they are passed over.
    roots.add_parsable_certificates(certificates(pem)?);
    Ok(roots)
}

/// The facts that a verified chain tells.
pub(crate) fn facts(chain: Option<&[CertificateDer<'_>]>) -> PeerFacts {
    let certificate_names = chain.and_then(<[_]>::first).map(|leaf| sip_domains(leaf)).unwrap_or_default();
    PeerFacts { certificate_names }
}

/// The domains of a certificate by RFC 5922 section 7.1: `sip:` URIs without user first; without any, DNS names; the
/// common name only where there is no alternative name at all.
fn sip_domains(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else {
        let common = certificate.subject().iter_common_name();
        return common.filter_map(|n| n.as_str().ok()).map(str::to_ascii_lowercase).take(NAMES_MAX).collect();
    };
    let names = &alternatives.value.general_names;
    let uris: Vec<String> = names.iter().filter_map(sip_uri).take(NAMES_MAX).collect();
    if !uris.is_empty() {
        return uris;
    }
    let dns = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    dns.take(NAMES_MAX).collect()
}

fn sip_uri(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::URI(uri) = name else {
        return None;
    };
    let uri = crate::value::Uri::parse(uri.as_bytes()).ok()?;
    let sip = matches!(uri.scheme, crate::value::Scheme::Sip) && uri.user.is_none();
    sip.then(|| uri.host_text().to_ascii_lowercase())
}
