//! What a Postgres server (or a pooler in its place) said in an ErrorResponse or NoticeResponse.

use crate::SqlState;
use serde::{Deserialize, Serialize};

/// The fields of an ErrorResponse or NoticeResponse (Postgres manual, "Error and Notice Message Fields").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerError {
    /// `FATAL`, `ERROR`, `WARNING`, … (field `V`, else `S`). Empty in a protocol-2 error.
    pub severity: String,
    /// SQLSTATE, field `C`. None in a protocol-2 error, and from peers that send none.
    pub code: Option<SqlState>,
    /// Primary message, field `M`.
    pub message: String,
    /// Field `D`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Field `H`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The source file that raised it, field `F`. Postgres sends it; PgBouncer does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The routine that raised it, field `R`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routine: Option<String>,
}

impl ServerError {
    /// True where the SQLSTATE is `code`.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_ref().is_some_and(|c| c.as_str() == code)
    }

    /// True where the message or the DETAIL holds `words` (for messages that share a code; see [`crate::pooler_words`]).
    #[must_use]
    pub fn says(&self, words: &str) -> bool {
        self.message.contains(words) || self.detail.as_deref().is_some_and(|d| d.contains(words))
    }
}

impl std::fmt::Display for ServerError {
    /// One line as psql prints it, with the code: `FATAL 53300: sorry, too many clients already`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.severity.is_empty() {
            write!(f, "{} ", self.severity)?;
        }
        match &self.code {
            Some(code) => write!(f, "{code}: ")?,
            None => f.write_str("(no SQLSTATE): ")?,
        }
        f.write_str(self.message.trim_end())?;
        if let Some(detail) = &self.detail {
            write!(f, " (DETAIL: {detail})")?;
        }
        Ok(())
    }
}
