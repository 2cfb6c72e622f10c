//! Certificates: those that the configuration names, or a development certificate that is made once and kept.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{self, Config};
use crate::data::write_whole;

/// The folder of the development certificate in the data folder.
const FOLDER: &str = "tls";
const DEVELOPMENT_CHAIN: &str = "dev-cert.pem";
const DEVELOPMENT_KEY: &str = "dev-key.pem";

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The chain, leaf first, as PEM.
    pub chain: PathBuf,
    /// The private key as PEM.
    pub key: PathBuf,
    /// Whether this program made it for want of a real one.
    pub is_development: bool,
}

impl Pair {
    /// Reads both files.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn read(&self) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
        Ok((read(&self.chain)?, read(&self.key)?))
    }
}

/// The certificate of SIP over TLS.
///
/// # Errors
/// A development certificate is needed and cannot be made or kept.
pub fn sip_pair(config: &Config, data: &Path) -> anyhow::Result<Pair> {
    named(config.tls.certificate.as_ref(), config.tls.key.as_ref()).map_or_else(|| development(config, data), Ok)
}

/// The certificate of HTTPS.
///
/// # Errors
/// As [`sip_pair`].
pub fn http_pair(config: &Config, data: &Path) -> anyhow::Result<Pair> {
    named(config.http.certificate.as_ref(), config.http.key.as_ref()).map_or_else(|| sip_pair(config, data), Ok)
}

/// What SIP's wires need, from the files of the configuration.
///
/// # Errors
/// A file cannot be read.
pub fn of_sip(config: &config::Tls, pair: &Pair) -> anyhow::Result<sip::net::TlsConfig> {
    let (chain, key) = pair.read()?;
    let authorities = |file: &Option<PathBuf>| file.as_deref().map_or(Ok(Vec::new()), read);
    Ok(sip::net::TlsConfig {
        chain,
        key,
        client_ca: authorities(&config.client_ca)?,
        server_ca: authorities(&config.server_ca)?,
        verify_client: match config.verify_client {
            config::VerifyClient::Off => sip::net::VerifyClient::Off,
            config::VerifyClient::Optional => sip::net::VerifyClient::Optional,
            config::VerifyClient::Required => sip::net::VerifyClient::Required,
        },
    })
}

/// The certificate of HTTPS: each new handshake takes the one of the moment.
#[derive(Clone, Debug)]
pub struct Https {
    pair: Pair,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Https {
    /// Reads the files of `pair`.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together.
    pub fn new(pair: Pair) -> anyhow::Result<Self> {
        let current = Arc::new(Current(ArcSwap::from_pointee(certified(&pair)?)));
        Ok(Self { pair, current })
    }

    /// The server's side of TLS.
    ///
    /// # Errors
    /// The library refuses its own protocol versions, which it does not.
    pub fn server(&self) -> anyhow::Result<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().context("TLS versions")?;
        Ok(builder.with_no_client_auth().with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>))
    }

    /// Reads the files again. Connections that stand are not touched.
    ///
    /// # Errors
    /// As [`Self::new`]; then the old certificate stays.
    pub fn reload(&self) -> anyhow::Result<()> {
        self.current.0.store(Arc::new(certified(&self.pair)?));
        Ok(())
    }
}

fn certified(pair: &Pair) -> anyhow::Result<CertifiedKey> {
    let (chain, key) = pair.read()?;
    let file = pair.chain.display();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| anyhow!("{file} is no PEM of certificates: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| anyhow!("{} is no PEM of a private key: {error}", pair.key.display()))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .with_context(|| format!("{file} and {} do not belong together", pair.key.display()))
}

fn named(chain: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<Pair> {
    Some(Pair { chain: chain?.clone(), key: key?.clone(), is_development: false })
}

/// The development certificate of the data folder; made when it is not there, and kept, so that whoever trusted it once
/// need not do so again.
fn development(config: &Config, data: &Path) -> anyhow::Result<Pair> {
    let folder = data.join(FOLDER);
    let pair = Pair { chain: folder.join(DEVELOPMENT_CHAIN), key: folder.join(DEVELOPMENT_KEY), is_development: true };
    if pair.chain.exists() && pair.key.exists() {
        return Ok(pair);
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut params = CertificateParams::new(names(config)).context("names of the development certificate")?;
    params.distinguished_name.push(DnType::CommonName, "Strowger development certificate");
    let key = KeyPair::generate().context("a key for the development certificate")?;
    let certificate = params.self_signed(&key).context("the development certificate")?;
    write_whole(&pair.key, key.serialize_pem().as_bytes())?;
    write_whole(&pair.chain, certificate.pem().as_bytes())?;
    Ok(pair)
}

/// Every name that a client may know this switch by.
fn names(config: &Config) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let listening = config.sip.tls.iter().chain([&config.http.listen]).chain(config.http.tls_listen.iter());
    let addresses = listening.map(|at| at.ip()).filter(|ip: &IpAddr| !ip.is_unspecified()).map(|ip| ip.to_string());
    for name in addresses.chain(config.sip.advertised.clone()).chain(config.node.domains.iter().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_development_certificate_is_made_once_and_is_its_owners_only() {
        let config = config::lab().unwrap();
        let data = tempfile::tempdir().unwrap();
        let pair = sip_pair(&config, data.path()).unwrap();
        assert!(pair.is_development);
        let first = pair.read().unwrap();
        assert_eq!(sip_pair(&config, data.path()).unwrap().read().unwrap(), first);
        assert_eq!(http_pair(&config, data.path()).unwrap(), pair);
        assert_eq!(fs::metadata(&pair.key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_changed_certificate_is_taken_and_a_broken_one_leaves_the_old() {
        let config = config::lab().unwrap();
        let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pair = sip_pair(&config, data.path()).unwrap();
        let https = Https::new(pair.clone()).unwrap();
        https.server().unwrap();
        let leaf = |https: &Https| https.current.0.load().cert.first().cloned().unwrap();
        let first = leaf(&https);
        let fresh = sip_pair(&config, other.path()).unwrap();
        fs::copy(&fresh.chain, &pair.chain).unwrap();
        assert!(https.reload().is_err(), "the key is not the new chain's");
        assert_eq!(leaf(&https), first);
        fs::copy(&fresh.key, &pair.key).unwrap();
        https.reload().unwrap();
        assert_ne!(leaf(&https), first);
    }
}
