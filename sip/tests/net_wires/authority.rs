//! A certificate authority of the tests.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use sip::net::{TlsConfig, VerifyClient};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> Vec<u8> {
        self.0.as_ref().pem().into()
    }

    /// Chain and key for DNS names and `sip:` URIs.
    pub fn issue(&self, names: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let alternative = |name: &&str| match name.starts_with("sip:") {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        };
        params.subject_alt_names = names.iter().map(alternative).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem().into(), key.serialize_pem().into())
    }

    /// A switch's certificate by this authority, which trusts it in both directions.
    pub fn config(&self, names: &[&str], verify_client: VerifyClient) -> TlsConfig {
        let (chain, key) = self.issue(names);
        TlsConfig { chain, key, client_ca: self.pem(), verify_client, server_ca: self.pem() }
    }
}
