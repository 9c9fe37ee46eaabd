//! What cleans up when nobody else can: a small shell that waits for this process to die.
//!
//! Its stdin is a pipe that we hold. When the pipe closes without a `done`, we were killed: it ends every process
//! that works in the lab's folder, undoes what was noted (firewall rules, routes, mounts) and removes the folder.

use crate::error::{LabError, Tried as _};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// `$0` is the lab's folder. Servers that are stopped are let go on, so that they can obey. SIGQUIT is Postgres'
/// immediate shutdown, which gives its System V segment back; SIGKILL is for what will not go within two seconds.
const SCRIPT: &str = r#"
trap '' HUP INT TERM QUIT
undo=
while IFS= read -r line; do
  [ "$line" = done ] && exit 0
  undo="$line
$undo"
done
ours() {
  for p in /proc/[0-9]*; do
    case "$(readlink "$p/cwd" 2>/dev/null)" in "$0"|"$0"/*) echo "${p#/proc/}";; esac
  done
}
for p in $(ours); do kill -CONT "$p"; kill -QUIT "$p"; done 2>/dev/null
n=0
while [ -n "$(ours)" ] && [ $n -lt 20 ]; do sleep 0.1; n=$((n + 1)); done
for p in $(ours); do kill -KILL "$p"; done 2>/dev/null
eval "$undo" 2>/dev/null
rm -rf -- "$0"
"#;

/// The waiting shell.
#[derive(Debug)]
pub(crate) struct Janitor {
    shell: Child,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Janitor {
    /// Starts one for a lab's folder.
    ///
    /// # Errors
    /// Where there is no `/bin/sh`.
    pub(crate) fn start(folder: &Path) -> Result<Self, LabError> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(SCRIPT).arg(folder).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A ctrl-C goes to the terminal's process group; the janitor must outlive it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut shell = command.spawn().tried(|| "/bin/sh".to_owned())?;
        let pipe = Mutex::new(shell.stdin.take());
        Ok(Self { shell, pipe })
    }

    /// Notes a command that undoes what is about to be done. It must do no harm where there is nothing to undo.
    ///
    /// # Errors
    /// Where the janitor is gone.
    pub(crate) fn note(&self, undo: &str) -> Result<(), LabError> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pipe) = pipe.as_mut() else { return Ok(()) };
        writeln!(pipe, "{}", undo.replace('\n', " ")).tried(|| "the janitor".to_owned())
    }
}

impl Drop for Janitor {
    /// All is clean: the janitor may go.
    fn drop(&mut self) {
        let pipe = self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut pipe) = pipe {
            let _gone = pipe.write_all(b"done\n");
        }
        let _reaped = self.shell.wait();
    }
}
