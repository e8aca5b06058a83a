//! A file of certificate authorities: whether it can be read as one, and what will go wrong with it later.

use std::path::Path;

use iotda::Config;

use super::certificate::{Summary, day};
use super::endpoint;

/// Where the right file is.
const TAKE: &str = "Take the PEM in the folder c/ of the vendor's page \"Certificates\"";

/// What a file is like.
#[derive(Debug, Default)]
pub struct Verdict {
    /// It cannot be used.
    pub fault: Option<String>,
    /// It can, but.
    pub doubts: Vec<String>,
}

/// Judges the file's content at `now`, in seconds since 1970, for a device that reports to `host` and trusts this file alone;
/// `None`: it trusts others as well.
pub fn judge(file: &Path, content: &[u8], host: Option<&str>, now: i64) -> Verdict {
    let name = file.display();
    let flag = if host.is_some() { "--ca-file" } else { "--add-ca-file" };
    let fault = |fault: String| Verdict { fault: Some(fault), ..Verdict::default() };
    if let Some(kind) = binary_kind(content) {
        return fault(format!("{name} is {}.", kind.replace("FILE", &name.to_string())));
    }
    if let Err(error) = Config::new().ca_pem(content) {
        return fault(format!("{} ({name}). {TAKE}, or leave {flag} out.", error.message()));
    }
    let certificates: Vec<Summary> = blocks(content).iter().filter_map(|der| Summary::of(der)).collect();
    let mut doubts = Vec::new();
    for certificate in &certificates {
        let subject = &certificate.subject;
        if !certificate.is_authority {
            doubts.push(format!(
                "{name} holds \"{subject}\", which is a server's certificate and no authority's: it ends with the server's \
                 next one. {TAKE}."
            ));
        } else if !certificate.is_root {
            doubts.push(format!(
                "{name} holds \"{subject}\", an intermediate that \"{}\" has issued: servers change those without notice. \
                 Use the root.",
                certificate.issuer
            ));
        }
        if certificate.days_left(now) < 0 {
            let ended = day(certificate.not_after);
            doubts.push(format!("\"{subject}\" in {name} expired on {ended}. Replace it."));
        }
    }
    if let [only] = &certificates[..] {
        if only.is_root && host.is_some_and(endpoint::is_platform) {
            doubts.push(format!(
                "{name} holds \"{}\" alone: the platform's certificates come from several authorities, and the next may be \
                 another's. {TAKE}, which holds them all.",
                only.subject
            ));
        }
    }
    Verdict { fault: None, doubts }
}

/// What a file is that is no text, with what to do about it.
fn binary_kind(content: &[u8]) -> Option<String> {
    let store = |kind: &str| format!("a key store of Java's ({kind}). {TAKE}");
    Some(match content {
        [0xfe, 0xed, 0xfe, 0xed, ..] => store("JKS"),
        [0xce, 0xce, 0xce, 0xce, ..] => store("JCEKS"),
        [0, 0, 0, 1 | 2, ..] => store("BKS, as for Android"),
        // RFC 7292 section 4: a SEQUENCE that begins with the version, 3; a certificate begins with another SEQUENCE.
        [0x30, 0x82, _, _, 2, 1, 3, ..] | [0x30, 0x80, 2, 1, 3, ..] => store("or PKCS #12, PFX"),
        [0x30, 0x82, _, _, 0x30, ..] => {
            "a certificate in binary form (DER). Convert it: openssl x509 -inform der -in FILE -out FILE.pem".to_owned()
        }
        _ => return None,
    })
}

/// The certificates of a PEM text that was found good.
fn blocks(content: &[u8]) -> Vec<Vec<u8>> {
    x509_parser::pem::Pem::iter_from_buffer(content)
        .filter_map(Result::ok)
        .filter(|block| block.label == "CERTIFICATE" || block.label == "X509 CERTIFICATE")
        .map(|block| block.contents)
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    const HOST: &str = "a.st1.iotda-device.cn-north-4.myhuaweicloud.com";
    /// In 2026.
    const NOW: i64 = 1_790_000_000;

    struct Made {
        parameters: CertificateParams,
        key: KeyPair,
        pem: String,
        der: Vec<u8>,
    }

    fn made(name: &str, is_ca: bool, until: i32, issuer: Option<&Made>) -> Made {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        parameters.not_after = date_time_ymd(until, 3, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = match issuer {
            None => parameters.self_signed(&key).unwrap(),
            Some(issuer) => parameters.signed_by(&key, &Issuer::from_params(&issuer.parameters, &issuer.key)).unwrap(),
        };
        Made { pem: certificate.pem(), der: certificate.der().to_vec(), parameters, key }
    }

    fn judged(content: &[u8], host: &str) -> Verdict {
        judge(Path::new("ca.pem"), content, Some(host), NOW)
    }

    #[test]
    fn what_is_no_pem_is_named_with_the_way_to_get_one() {
        let root = made("Root", true, 2040, None);
        let key_text = root.key.serialize_pem();
        for (content, part) in [
            (&root.der[..], "binary form (DER). Convert it: openssl x509"),
            (b"\xfe\xed\xfe\xed\0\0\0\x02", "(JKS). Take the PEM"),
            (b"\0\0\0\x02\0\0\0\x14", "(BKS, as for Android)"),
            (b"\x30\x82\x04\x00\x02\x01\x03\x30", "PKCS #12"),
            (b"", "it is empty"),
            (b"<html>", "it takes text with"),
            (key_text.as_bytes(), "such as a key"),
            (&root.pem.as_bytes()[..200], "its END line is missing"),
        ] {
            let fault = judged(content, HOST).fault.unwrap();
            assert!(fault.contains(part) && fault.contains("ca.pem"), "{fault}");
        }
    }

    #[test]
    fn what_will_go_wrong_later_is_a_doubt() {
        let root = made("Root", true, 2040, None);
        let middle = made("Middle", true, 2040, Some(&root));
        let old = made("Old", true, 2026, None);
        let leaf = made("leaf", false, 2040, Some(&root));
        for (content, parts) in [
            (root.pem.clone(), &["\"Root\" alone"][..]),
            (middle.pem.clone(), &["\"Middle\", an intermediate that \"Root\" has issued"]),
            (format!("{}{}", root.pem, old.pem), &["\"Old\" in ca.pem expired on 2026-03-01"]),
            (format!("{}{}", leaf.pem, root.pem), &["\"leaf\", which is a server's certificate"]),
            (format!("{}{}", made("Other", true, 2040, None).pem, root.pem), &[]),
        ] {
            let verdict = judged(content.as_bytes(), HOST);
            assert_eq!(verdict.doubts.len(), parts.len(), "{verdict:?}");
            assert!(
                verdict.fault.is_none() && verdict.doubts.iter().zip(parts).all(|(doubt, part)| doubt.contains(part))
            );
        }
        // An instance with an authority of its owner's has one, and that is all.
        assert!(judged(root.pem.as_bytes(), "iot.example").doubts.is_empty());
        // And one that is trusted beside the others need not be enough.
        assert!(judge(Path::new("ca.pem"), root.pem.as_bytes(), None, NOW).doubts.is_empty());
    }
}
