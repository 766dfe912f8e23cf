//! Lists the rule files for `src/bundled.rs`, so that the program carries them and its demo runs from any directory.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=rules");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let mut files = Vec::new();
    gather(&root, Path::new("rules"), &mut files)?;
    files.sort();
    let include =
        |name: &String| format!("({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/\", {name:?}))),\n");
    let list: String = files.iter().map(include).collect();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(out.join("rules.rs"), format!("&[\n{list}]\n"))
}

/// The YAML files under `directory`, named from the root with slashes.
fn gather(root: &Path, directory: &Path, files: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(directory)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = directory.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            gather(root, &name, files)?;
        } else if name.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(name.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}
