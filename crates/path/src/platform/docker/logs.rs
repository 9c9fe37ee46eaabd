//! A container's log as the engine sends it: frames of two streams, or plain where it has a terminal (Engine API
//! reference, "Attach to a container", stream format).

/// Lines that are asked for of one container.
pub(super) const LINES: usize = 200;
/// Bytes that are read: as many lines as are asked for, each of the 16 KiB at which the engine cuts one, with its frame
/// and its time.
pub(super) const LIMIT: usize = LINES * (16 * 1024 + 64);
/// Bytes of a frame's head: the stream, three zeros, the length.
const HEAD: usize = 8;

/// The text of an answer, both streams in the order in which they came.
///
/// # Errors
/// Where it is neither form.
pub(super) fn text(body: &[u8], terminal: bool) -> Result<String, String> {
    if terminal {
        return Ok(String::from_utf8_lossy(body).into_owned());
    }
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        let Some((head, after)) = rest.split_at_checked(HEAD) else { break };
        let [0..=2, 0, 0, 0, a, b, c, d] = *head else {
            return Err("not in frames as the engine sends them".to_owned());
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        // A frame that is cut off is the last.
        let (frame, next) = after.split_at(length.min(after.len()));
        bytes.extend_from_slice(frame);
        rest = next;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![stream, 0, 0, 0];
        bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn frames_are_put_together() {
        let mut body =
            [frame(1, "2026-11-23T03:12:01Z out\n"), frame(2, "2026-11-23T03:12:02Z err\n")].concat();
        body.extend(&frame(2, "cut off")[..11]);
        assert_eq!(text(&body, false).unwrap(), "2026-11-23T03:12:01Z out\n2026-11-23T03:12:02Z err\ncut");
        assert_eq!(text(b"a line\r\n", true).unwrap(), "a line\r\n");
        assert_eq!(text(b"", false).unwrap(), "");
    }

    #[test]
    fn what_is_no_frame_is_refused_and_a_length_is_not_believed() {
        assert!(text(b"SSH-2.0-OpenSSH", false).is_err());
        assert!(text(&[3, 0, 0, 0, 0, 0, 0, 1, b'x'], false).is_err());
        assert_eq!(text(&[1, 0, 0, 0, 255, 255, 255, 255, b'x'], false).unwrap(), "x");
    }
}
