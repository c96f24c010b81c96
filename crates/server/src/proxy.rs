//! The PROXY protocol, versions 1 and 2, from configured networks.

use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How long a version 2 header may be.
const HEADER_OCTETS: usize = 536;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A network as `address/length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u32,
}

impl Network {
    /// Reads `10.0.0.0/8`, `::1/128` or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text
            .split_once('/')
            .map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Some(bits), |length| length.parse().ok())?;
        (length <= bits).then_some(Self { address, length })
    }

    /// Whether an address lies in it; IPv4 in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - self.length;
                u32::from(network).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - self.length;
                u128::from(network).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// Reads a PROXY header, not an octet more, and gives the client's address;
/// `None` for the proxy's own checks (`UNKNOWN`, `LOCAL`).
///
/// # Errors
/// When there is no valid header: such a connection is to be closed.
pub async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<Option<SocketAddr>> {
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidData, "no valid PROXY header");
    let mut header = vec![0; 12];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        header.resize(16, 0);
        stream.read_exact(&mut header[12..]).await?;
        let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if 16 + length > HEADER_OCTETS {
            return Err(invalid());
        }
        header.resize(16 + length, 0);
        stream.read_exact(&mut header[16..]).await?;
        let header = ppp::v2::Header::try_from(header.as_slice()).map_err(|_| invalid())?;
        return Ok(match (header.command, header.addresses) {
            (ppp::v2::Command::Proxy, ppp::v2::Addresses::IPv4(addresses)) => {
                Some((addresses.source_address, addresses.source_port).into())
            }
            (ppp::v2::Command::Proxy, ppp::v2::Addresses::IPv6(addresses)) => {
                Some((addresses.source_address, addresses.source_port).into())
            }
            _ => None,
        });
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= 107 {
            return Err(invalid());
        }
        header.push(stream.read_u8().await?);
    }
    let text = std::str::from_utf8(&header).map_err(|_| invalid())?;
    let header = ppp::v1::Header::try_from(text).map_err(|_| invalid())?;
    Ok(match header.addresses {
        ppp::v1::Addresses::Tcp4(addresses) => {
            Some((addresses.source_address, addresses.source_port).into())
        }
        ppp::v1::Addresses::Tcp6(addresses) => {
            Some((addresses.source_address, addresses.source_port).into())
        }
        ppp::v1::Addresses::Unknown => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network = Network::parse("10.1.0.0/16").expect("network");
        assert!(network.contains("10.1.2.3".parse().expect("address")));
        assert!(network.contains("::ffff:10.1.2.3".parse().expect("address")));
        assert!(!network.contains("10.2.2.3".parse().expect("address")));
        assert!(
            Network::parse("0.0.0.0/0")
                .expect("network")
                .contains("1.2.3.4".parse().expect("address"))
        );
        assert_eq!(Network::parse("10.0.0.0/33"), None);
    }

    #[tokio::test]
    async fn headers_of_both_versions() {
        let mut first: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 5 143\r\nA";
        assert_eq!(
            read_header(&mut first).await.expect("version 1"),
            Some("192.0.2.1:5".parse().expect("address"))
        );
        assert_eq!(first, b"A");
        let mut second = SIGNATURE.to_vec();
        second.extend([
            0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0, 5, 0, 143, b'A',
        ]);
        let mut second = second.as_slice();
        assert_eq!(
            read_header(&mut second).await.expect("version 2"),
            Some("192.0.2.1:5".parse().expect("address"))
        );
        assert_eq!(second, b"A");
        let mut neither: &[u8] = b"a LOGIN anna secret\r\nmore\r\n";
        assert!(read_header(&mut neither).await.is_err());
    }
}
