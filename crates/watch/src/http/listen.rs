//! Where the daemon may listen: on loopback, and elsewhere only with a token that nobody guesses. Pure.

use pgmedic_model::Secret;
use std::net::SocketAddr;

/// The fewest characters of a token: 16 of base64 are 96 bits.
pub const TOKEN_LENGTH: usize = 16;

/// Why nothing is served there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Others reach the address, and no token is set.
    #[error(
        "listen = \"{0}\" can be reached from other hosts, and no token is set: set token = \"file:PATH\" or \"env:NAME\" in \
         [watch] (openssl rand -base64 32 makes one), or listen on 127.0.0.1"
    )]
    NeedsToken(SocketAddr),
    /// The token can be guessed.
    #[error(
        "the token in [watch] has fewer than {TOKEN_LENGTH} characters: make one with openssl rand -base64 32"
    )]
    ShortToken,
    /// The token cannot stand in a header.
    #[error(
        "the token in [watch] holds a space or a character that no header can carry: use letters and digits"
    )]
    UnfitToken,
    /// The same of the token that may only read.
    #[error("read_token: {0}")]
    ReadToken(Box<ListenError>),
    /// The listener is gone.
    #[error("the listener of the API cannot be used: {0}")]
    Closed(String),
}

/// Whether the daemon may listen there. Whoever reads the configuration asks before anything is bound.
///
/// # Errors
/// Where it may not: no token and an address that is not loopback (`0.0.0.0` and `[::]` are every address; `::ffff:127.0.0.1`
/// is loopback), or a token that is no good.
pub fn may_listen(at: SocketAddr, token: Option<&Secret>) -> Result<(), ListenError> {
    match token.map(Secret::reveal) {
        Some(token) if !token.chars().all(|c| c.is_ascii_graphic()) => Err(ListenError::UnfitToken),
        Some(token) if token.len() < TOKEN_LENGTH => Err(ListenError::ShortToken),
        Some(_) => Ok(()),
        None if is_loopback(at) => Ok(()),
        None => Err(ListenError::NeedsToken(at)),
    }
}

/// The same for both tokens: `read_token` is held to what `token` is, and where it is missing nothing is asked of it.
///
/// # Errors
/// As [`may_listen`]; [`ListenError::ReadToken`] where it is `read_token` that is no good.
pub fn may_serve(
    at: SocketAddr,
    token: Option<&Secret>,
    read_token: Option<&Secret>,
) -> Result<(), ListenError> {
    may_listen(at, token)?;
    match read_token {
        Some(_) => may_listen(at, read_token).map_err(|error| ListenError::ReadToken(Box::new(error))),
        None => Ok(()),
    }
}

/// True for an address that only this host reaches.
pub(super) fn is_loopback(at: SocketAddr) -> bool {
    at.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_only_loopback_is_listened_on() {
        for at in ["127.0.0.1:9187", "127.8.9.1:1", "[::1]:9187", "[::ffff:127.0.0.1]:9187"] {
            assert_eq!(may_listen(at.parse().unwrap(), None), Ok(()), "{at}");
        }
        for at in [
            "0.0.0.0:9187",
            "[::]:9187",
            "10.0.0.1:9187",
            "[::ffff:10.0.0.1]:9187",
            "[::ffff:0.0.0.0]:1",
            "[fe80::1]:1",
        ] {
            let at = at.parse().unwrap();
            assert_eq!(may_listen(at, None), Err(ListenError::NeedsToken(at)), "{at}");
            assert_eq!(may_listen(at, Some(&Secret::new("0123456789abcdef"))), Ok(()), "{at}");
        }
    }

    #[test]
    fn a_token_that_is_guessed_or_cannot_be_sent_is_none_on_loopback_either() {
        let at = "127.0.0.1:9187".parse().unwrap();
        assert_eq!(may_listen(at, Some(&Secret::new(""))), Err(ListenError::ShortToken));
        assert_eq!(may_listen(at, Some(&Secret::new("0123456789abcde"))), Err(ListenError::ShortToken));
        for token in ["0123456789abcdef\n", "01234567 89abcdef", "0123456789abcdeé"] {
            assert_eq!(may_listen(at, Some(&Secret::new(token))), Err(ListenError::UnfitToken), "{token:?}");
        }
        assert!(!ListenError::UnfitToken.to_string().contains("0123"));
    }

    #[test]
    fn the_token_that_may_only_read_is_held_to_the_same_and_named_where_it_is_no_good() {
        let (at, good) = ("127.0.0.1:9187".parse().unwrap(), Secret::new("0123456789abcdef"));
        assert_eq!(may_serve(at, None, None), Ok(()));
        assert_eq!(may_serve(at, Some(&good), Some(&good)), Ok(()));
        let error = may_serve(at, Some(&good), Some(&Secret::new("short"))).unwrap_err();
        assert!(error.to_string().starts_with("read_token: "), "{error}");
        let outside = "0.0.0.0:9187".parse().unwrap();
        assert_eq!(may_serve(outside, None, Some(&good)), Err(ListenError::NeedsToken(outside)));
    }
}
