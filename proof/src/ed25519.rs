//! Ed25519 as this crate accepts it: strict, so that every verifier gives the same answer.
//!
//! Invariants: a public key is canonically encoded and not of small order; a signature has a canonical `s`.
//! Absent: key generation (the caller brings 32 random bytes), batch verification.
//! Source: RFC 8032 sections 5.1.3 and 5.1.7; format.md "Signatures by actors".

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

/// Why a signature is not accepted.
#[derive(Debug, Copy, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ed25519Error {
    /// The public key is not the canonical encoding of a point.
    #[error("the public key is not the canonical encoding of a point")]
    KeyEncoding,
    /// The public key is of small order: signatures under it prove nothing.
    #[error("the public key is of small order")]
    WeakKey,
    /// The signature is not 64 bytes long.
    #[error("an Ed25519 signature is 64 bytes, found {bytes}")]
    Length {
        /// Length found, in bytes.
        bytes: usize,
    },
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Mismatch,
}

/// Verifies strictly (RFC 8032 section 5.1.7, no cofactor, small-order keys refused).
pub(crate) fn verify(public_key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), Ed25519Error> {
    let key = public_key_of(public_key)?;
    let signature =
        Signature::from_slice(signature).map_err(|_| Ed25519Error::Length { bytes: signature.len() })?;
    key.verify_strict(message, &signature).map_err(|_| Ed25519Error::Mismatch)
}

/// Returns the checked key. dalek accepts `y >= p`, which RFC 8032 section 5.1.3 step 1 does not.
pub(crate) fn public_key_of(public_key: &[u8; 32]) -> Result<VerifyingKey, Ed25519Error> {
    let key = VerifyingKey::from_bytes(public_key).map_err(|_| Ed25519Error::KeyEncoding)?;
    if key.is_weak() {
        return Err(Ed25519Error::WeakKey);
    }
    if key.to_edwards().compress().to_bytes() != *public_key {
        return Err(Ed25519Error::KeyEncoding);
    }
    Ok(key)
}

/// A private key with its public key at hand: computing that one costs as much as a signature.
#[derive(Clone)]
pub(crate) struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Returns the key of a seed (RFC 8032 section 5.1.5).
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Returns the 32-byte seed.
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Returns the 32-byte public key.
    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Returns the 64-byte signature of a message (RFC 8032 section 5.1.6).
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8032_test_2_verifies_and_its_alterations_do_not() {
        // RFC 8032 section 7.1, TEST 2.
        let seed = [
            0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f,
            0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb,
        ];
        let private = PrivateKey::from_seed(&seed);
        let key = private.public_key();
        assert_eq!(key[..4], [0x3d, 0x40, 0x17, 0xc3]);
        let mut signature = private.sign(&[0x72]);
        assert_eq!(signature[..4], [0x92, 0xa0, 0x09, 0xa9]);
        assert_eq!(verify(&key, &[0x72], &signature), Ok(()));
        assert_eq!(verify(&key, &[0x73], &signature), Err(Ed25519Error::Mismatch));
        assert_eq!(verify(&key, &[0x72], &signature[..63]), Err(Ed25519Error::Length { bytes: 63 }));
        signature[63] ^= 0x20;
        assert_eq!(verify(&key, &[0x72], &signature), Err(Ed25519Error::Mismatch));
    }

    #[test]
    fn small_order_and_uncanonical_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(verify(&identity, b"", &[0; 64]), Err(Ed25519Error::WeakKey));
        // y = p + 3 is another spelling of y = 3, a point of large order.
        let mut spelt_twice = [0xff; 32];
        spelt_twice[0] = 0xed + 3;
        spelt_twice[31] = 0x7f;
        assert_eq!(verify(&spelt_twice, b"", &[0; 64]), Err(Ed25519Error::KeyEncoding));
    }
}
