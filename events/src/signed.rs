//! What a signature fixes of a command: the ledger that it is for, the key, the salts of what is sealed.
//!
//! A signed command stays readable: what it seals stands in clear in it, and its salts beside it, so that whoever holds the
//! command makes the very entry that was signed. Invariant: [`Command::sign`] and [`Command::act`] with [`Command::seal`]
//! come to the same act.
//! Absent: randomness and key files (the caller brings them), whether the key may speak (the application).
//! Source: format.md, Signatures by actors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use weituo_proof::entry::sign;
use weituo_proof::{Hash, Origin};

use crate::{Command, Refusal};

/// The signature of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Key id of the signing key.
    pub key: Hash,
    /// Origin of the ledger that the command was signed for.
    pub ledger: Origin,
    /// Salts of the sealed values, in the order in which they are sealed: base64url of 16 bytes each.
    #[serde(default)]
    pub salts: Vec<String>,
    /// The signature over the entry without what the log adds, base64.
    pub signature: String,
}

impl Signed {
    /// Returns the salts.
    ///
    /// # Errors
    /// A refusal when one is not the base64url of 16 bytes.
    pub(crate) fn salts(&self) -> Result<Vec<[u8; 16]>, Refusal> {
        let read = |text: &String| URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        self.salts.iter().map(|text| read(text).ok_or_else(unusable_salts)).collect()
    }
}

/// Returns the refusal of a signed command whose salts are not those of what it seals.
pub(crate) fn unusable_salts() -> Refusal {
    Refusal::invalid(
        "signed-salts",
        "signed.salts 应与要密封的值一一对应,每个是 16 字节的 base64url;请用 `weituo sign` 重新签名",
        "signed.salts has one salt for each value that is sealed, the base64url of 16 bytes; sign again with `weituo sign`",
    )
}

impl Command {
    /// Signs the command for one ledger with a 32-byte Ed25519 seed, its sealed values under salts from `fresh_salt`.
    ///
    /// # Errors
    /// A refusal where the command is none that can be recorded, or leaves open what the ledger would fill in.
    pub fn sign(
        &mut self,
        ledger: &Origin,
        seed: &[u8; 32],
        mut fresh_salt: impl FnMut() -> [u8; 16],
    ) -> Result<(), Refusal> {
        self.signed = None;
        self.parties.sort();
        self.parties.dedup();
        self.fixed()?;
        let mut salts = Vec::new();
        let mut act = self.act(None)?;
        self.seal(&mut act, || {
            let salt = fresh_salt();
            salts.push(URL_SAFE_NO_PAD.encode(salt));
            salt
        })?;
        let mut draft = act.draft(ledger);
        sign(&mut draft, seed);
        let (Some(key), Some(signature)) = (draft.actor.key, draft.signature) else { return Ok(()) };
        self.signed = Some(Signed { key, ledger: ledger.clone(), salts, signature });
        Ok(())
    }

    /// Replaces the payload by that of an event of the same type, its sealed values open.
    ///
    /// # Panics
    /// Never: an event's payload is JSON.
    pub fn set_payload(&mut self, event: &crate::Event) {
        self.payload = serde_json::value::RawValue::from_string(event.payload_json())
            .expect("invariant: a payload is JSON");
    }

    /// Refuses what is only known to be so when it is decided, and so cannot have been signed.
    pub(crate) fn fixed(&self) -> Result<(), Refusal> {
        match self.seen {
            Some(crate::Seen::Word(_)) => Err(Refusal::invalid(
                "signed-newest",
                "签名的命令不能写 seen: \"newest\";请写明所见最新记录的哈希(64 位十六进制)",
                "a signed command cannot say seen: \"newest\"; write the leaf hash of the newest entry read, 64 hex digits",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use weituo_proof::entry::{public_key_of_seed, verify_draft_signature};

    use super::*;

    const LINE: &str = r#"{"command":"0b2ff3c1-8a4e-4c55-9a1d-0242ac120002","do":"SubmitPlan","stream":"agreement/A","actor":{"organisation":"trustee-a","role":"trustee","person":"张三"},"effective":"2020-06-30","payload":{"paper":{"note":"一句话"}}}"#;

    fn signed() -> Command {
        let mut command = Command::parse(LINE).unwrap();
        let mut next = 0;
        let salt = || {
            next += 1;
            [next; 16]
        };
        command.sign(&"ledger.example/a".parse().unwrap(), &[5; 32], salt).unwrap();
        command
    }

    /// Whether the act that a command makes is the one that was signed, for a ledger.
    fn holds(command: &Command, ledger: &str) -> bool {
        let mut act = command.act(None).unwrap();
        command.seal(&mut act, || panic!("a signed command brings its salts")).unwrap();
        let draft = act.draft(&ledger.parse().unwrap());
        verify_draft_signature(&draft, &public_key_of_seed(&[5; 32])).is_ok()
    }

    #[test]
    fn a_signed_command_written_and_read_makes_the_very_act_that_was_signed() {
        let text = serde_json::to_string(&signed()).unwrap();
        let read = Command::parse(&text).unwrap();
        assert!(holds(&read, "ledger.example/a"));
        assert_eq!(read.signed.as_ref().unwrap().salts.len(), 2);
        assert!(!holds(&read, "ledger.example/b"));
        for (from, to) in [("一句话", "两句话"), ("agreement/A", "agreement/B"), ("2020-06-30", "2020-07-01")]
        {
            assert!(!holds(&Command::parse(&text.replace(from, to)).unwrap(), "ledger.example/a"), "{to}");
        }
    }

    #[test]
    fn a_salt_too_few_or_too_many_is_refused() {
        for count in [1, 3] {
            let mut command = signed();
            let salts = &mut command.signed.as_mut().unwrap().salts;
            salts.resize(count, salts[0].clone());
            let mut act = command.act(None).unwrap();
            let refusal = command.seal(&mut act, || [0; 16]).unwrap_err();
            assert_eq!(refusal.code, "signed-salts");
        }
    }

    #[test]
    fn what_is_known_only_when_it_is_decided_cannot_be_signed() {
        let line = LINE.replace("\"effective\"", "\"seen\":\"newest\",\"effective\"");
        let mut command = Command::parse(&line).unwrap();
        let refusal = command.sign(&"ledger.example/a".parse().unwrap(), &[5; 32], || [1; 16]).unwrap_err();
        assert_eq!(refusal.code, "signed-newest");
    }
}
