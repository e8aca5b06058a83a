//! Pinned keys: which of them the server's chain has, or which key the server has instead.

use super::certificate::{Summary, path_of};
use crate::pin::Pin;
use crate::settings::Setting;

/// Whose key is pinned, in the chain of a server that was accepted.
pub fn found(pins: &[Pin], chain: &[Summary]) -> String {
    let path = path_of(chain);
    let at = path.iter().position(|certificate| pins.contains(&certificate.pin));
    match at.map(|at| (at, path[at])) {
        Some((0, _)) => "its key is pinned".to_owned(),
        Some((_, issuer)) => format!("the key of \"{}\" is pinned", issuer.subject),
        // It was accepted, so that a pin fits; servers need not send the authority's certificate.
        None => "the key of an authority above it is pinned".to_owned(),
    }
}

/// None of them is in the path by which the server was verified, whose host name was not looked at yet.
pub fn lacking(pins: Option<&Setting<Vec<Pin>>>, chain: &[Summary], host: &str) -> String {
    let source = pins.map(|pins| format!(" ({})", pins.source)).unwrap_or_default();
    let has = match chain.first() {
        Some(leaf) => format!(" It has {}.", leaf.pin),
        None => String::new(),
    };
    format!(
        "an authority that is trusted has signed the certificate of {host}, but no pinned key{source} is in the path to it.{has} \
         Ask whoever runs the server whether its key was changed before you pin that one: it may be somebody else's."
    )
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData};

    use super::*;
    use crate::settings::Source;

    fn named(name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
    }

    #[test]
    fn the_key_that_is_pinned_is_named() {
        let keys: Vec<KeyPair> = (0..4).map(|_| KeyPair::generate().unwrap()).collect();
        let pins: Vec<Pin> = keys.iter().map(|key| Pin::of(&key.subject_public_key_info())).collect();
        let (root, middle) = (named("Root"), named("Middle"));
        let leaf = named("leaf").signed_by(&keys[2], &Issuer::from_params(&middle, &keys[1])).unwrap();
        let by_root = middle.signed_by(&keys[1], &Issuer::from_params(&root, &keys[0])).unwrap();
        let beside = named("Beside").signed_by(&keys[3], &Issuer::from_params(&root, &keys[0])).unwrap();
        let chain: Vec<Summary> =
            [&leaf, &beside, &by_root].iter().map(|certificate| Summary::of(certificate.der()).unwrap()).collect();
        assert_eq!(found(&[pins[2]], &chain), "its key is pinned");
        assert_eq!(found(&[pins[1]], &chain), "the key of \"Middle\" is pinned");
        assert_eq!(found(&[pins[0]], &chain), "the key of an authority above it is pinned");
        // What comes along and is not in the path is not what the pin has matched.
        assert_eq!(found(&[pins[3], pins[0]], &chain), "the key of an authority above it is pinned");
        let given = Setting { value: vec![pins[0]], source: Source::Variable("IOTDA_PIN") };
        let text = lacking(Some(&given), &chain, "h");
        assert!(text.contains(&pins[2].to_string()) && text.contains("(IOTDA_PIN)"), "{text}");
    }
}
