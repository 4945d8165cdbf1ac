//! Whether a certificate is for a host.
//!
//! Alternative names decide where there are any, as everywhere today. The
//! certificates that ptvsd's users were told to make have none: there the
//! common name decides, which may be an address.

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

/// The names and addresses that the certificate is for.
pub(super) fn of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let listed: Vec<String> = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension
            .value
            .general_names
            .iter()
            .filter_map(host_name)
            .collect(),
        _ => Vec::new(),
    };
    if !listed.is_empty() {
        return listed;
    }
    certificate
        .subject()
        .iter_common_name()
        .map(|name| match name.as_str() {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(name.as_slice()).into_owned(),
        })
        .collect()
}

/// The text of a name of a host, if it is one.
fn host_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(Into::into)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(Into::into))
        .ok()
}

/// Whether one of the names is the host's.
pub(super) fn any_is(names: &[String], host: &str) -> bool {
    names.iter().any(|name| is(name, host))
}

fn is(name: &str, host: &str) -> bool {
    // A zone is of this machine's own, and no part of the address.
    let bare = host.split_once('%').map_or(host, |(address, _)| address);
    match (name.parse::<IpAddr>(), bare.parse::<IpAddr>()) {
        (Ok(name), Ok(host)) => name == host,
        (Err(_), Err(_)) => is_domain(name, host),
        _ => false,
    }
}

fn is_domain(name: &str, host: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let host = host.strip_suffix('.').unwrap_or(host);
    match name.strip_prefix("*.") {
        None => !name.is_empty() && name.eq_ignore_ascii_case(host),
        // One label, and never all of a top-level domain.
        Some(rest) => host.split_once('.').is_some_and(|(label, parent)| {
            !label.is_empty() && parent.eq_ignore_ascii_case(rest) && rest.contains('.')
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_hosts() {
        for (name, host) in [
            ("myvm.example", "myvm.example"),
            ("MyVM.Example", "myvm.example."),
            ("localhost", "localhost"),
            ("*.example.org", "a.example.org"),
            ("192.0.2.7", "192.0.2.7"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("fe80::1", "fe80::1%eth0"),
            ("under_score", "under_score"),
        ] {
            assert!(is(name, host), "{name} {host}");
        }
    }

    #[test]
    fn a_name_is_not_another_hosts() {
        for (name, host) in [
            ("myvm.example", "example"),
            ("example", "myvm.example"),
            ("*.example.org", "example.org"),
            ("*.example.org", "a.b.example.org"),
            ("*.example.org", ".example.org"),
            ("*.org", "example.org"),
            ("*", "localhost"),
            ("a*.example.org", "ab.example.org"),
            ("192.0.2.7", "192.0.2.8"),
            ("*.0.2.7", "192.0.2.7"),
            ("", ""),
            ("", "localhost"),
        ] {
            assert!(!is(name, host), "{name} {host}");
        }
    }
}
