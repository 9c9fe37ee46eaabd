//! Hundreds of servers for `scripts/bench-watch`: `understudies HOST:PORT ROLE=COUNT…` plays what the real, trusting server at
//! HOST:PORT says. Roles: answers, silent, dropped, mute, stalls. Prints one line of JSON, role to ports; then, for each line on
//! stdin, does it (`stall`) and prints how many statements were answered so far. Ends with stdin. Not in here: what they do.

use pgmedic_lab::understudy::{Role, Understudies};
use std::error::Error;
use std::io::{BufRead as _, Write as _};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let real = arguments.next().ok_or("understudies HOST:PORT ROLE=COUNT…")?;
    let all = Understudies::of(real.parse()?)?;
    let mut ports = serde_json::Map::new();
    for argument in arguments {
        let (name, count) = argument.split_once('=').ok_or("ROLE=COUNT")?;
        let role = match name {
            "answers" => Role::Answers,
            "silent" => Role::Silent,
            "dropped" => Role::Dropped,
            "mute" => Role::Mute,
            "stalls" => Role::Stalls,
            _ => return Err("roles: answers, silent, dropped, mute, stalls".into()),
        };
        ports.insert(name.to_owned(), all.add(role, count.parse()?)?.into());
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::Value::Object(ports))?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        if line? == "stall" {
            all.stall();
        }
        writeln!(out, "{}", all.answered())?;
        out.flush()?;
    }
    Ok(())
}
