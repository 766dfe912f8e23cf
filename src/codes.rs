//! Numeric failure codes and what they mean.
//!
//! The tables are data files beside this module; their names and values are the platforms', the wording is ours.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A table of codes that a rule may decode a capture with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CodeTable {
    Win32,
    Hresult,
    Ntstatus,
    ExitCode,
}

/// What a code stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meaning {
    /// The platform's symbol, `ERROR_EXE_MACHINE_TYPE_MISMATCH`.
    pub name: &'static str,
    /// One line for people.
    pub text: &'static str,
}

type Table = HashMap<u32, Meaning>;

static WIN32: LazyLock<Table> = LazyLock::new(|| parse(include_str!("codes/win32.tsv")));
static HRESULT: LazyLock<Table> = LazyLock::new(|| parse(include_str!("codes/hresult.tsv")));
static NTSTATUS: LazyLock<Table> = LazyLock::new(|| parse(include_str!("codes/ntstatus.tsv")));
static EXIT_CODE: LazyLock<Table> = LazyLock::new(|| parse(include_str!("codes/exit_code.tsv")));

impl CodeTable {
    /// The tables in the words of a rule's `codes`.
    pub const NAMES: [&'static str; 4] = ["win32", "hresult", "ntstatus", "exit_code"];

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "win32" => Some(CodeTable::Win32),
            "hresult" => Some(CodeTable::Hresult),
            "ntstatus" => Some(CodeTable::Ntstatus),
            "exit_code" => Some(CodeTable::ExitCode),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            CodeTable::Win32 => "win32",
            CodeTable::Hresult => "hresult",
            CodeTable::Ntstatus => "ntstatus",
            CodeTable::ExitCode => "exit_code",
        }
    }

    /// What a captured code means. Tools write one code in many ways, all of which are accepted: decimal (`216`),
    /// signed (`-1073741515`), hexadecimal with `0x` or as eight bare digits (`800705AA`).
    pub fn lookup(self, captured: &str) -> Option<Meaning> {
        let code = parse_code(captured.trim())?;
        match self {
            CodeTable::Win32 => lookup_win32(code),
            // Container start errors carry either kind in the same place.
            CodeTable::Hresult => lookup_hresult(code).or_else(|| NTSTATUS.get(&code).copied()),
            CodeTable::Ntstatus => NTSTATUS.get(&code).copied().or_else(|| lookup_hresult(code)),
            // A Windows process that crashes has its NTSTATUS as exit code.
            CodeTable::ExitCode => EXIT_CODE.get(&code).or_else(|| NTSTATUS.get(&code)).copied(),
        }
    }
}

/// A Win32 code is also met inside of an HRESULT (`0x800700D8`).
fn lookup_win32(code: u32) -> Option<Meaning> {
    WIN32.get(&wrapped_win32(code).unwrap_or(code)).copied()
}

fn lookup_hresult(code: u32) -> Option<Meaning> {
    let listed = HRESULT.get(&code).copied();
    listed.or_else(|| wrapped_win32(code).and_then(|win32| WIN32.get(&win32).copied()))
}

/// The Win32 code of a `HRESULT_FROM_WIN32` value: severity 1, facility 7.
fn wrapped_win32(code: u32) -> Option<u32> {
    (code >> 16 == 0x8007).then_some(code & 0xFFFF)
}

fn parse_code(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok();
    }
    match text.parse::<i64>() {
        Ok(number) => u32::try_from(number).ok().or_else(|| i32::try_from(number).ok().map(|signed| signed as u32)),
        Err(_) if text.len() == 8 => u32::from_str_radix(text, 16).ok(),
        Err(_) => None,
    }
}

/// Lines `code<TAB>name<TAB>meaning`; `#` starts a comment. A line of another form is left out, which a test forbids.
fn parse(table: &'static str) -> Table {
    table.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &'static str) -> Option<(u32, Meaning)> {
    let mut fields = line.split('\t');
    let code = parse_code(fields.next()?)?;
    let (name, text) = (fields.next()?, fields.next()?);
    Some((code, Meaning { name, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(table: CodeTable, code: &str) -> Option<&'static str> {
        table.lookup(code).map(|meaning| meaning.name)
    }

    #[test]
    fn knows_a_code_in_every_spelling() {
        let mismatch = Some("ERROR_EXE_MACHINE_TYPE_MISMATCH");
        for code in ["216", " 216 ", "0xD8", "0xd8", "0x800700D8", "-2147024680", "2147942616", "800700d8"] {
            assert_eq!(name(CodeTable::Win32, code), mismatch, "{code}");
        }
        for code in ["0xC0000135", "-1073741515", "3221225781", "C0000135"] {
            assert_eq!(name(CodeTable::Ntstatus, code), Some("STATUS_DLL_NOT_FOUND"), "{code}");
        }
        for code in ["-1070137082", "0xc0370106", "3224830214"] {
            assert_eq!(name(CodeTable::Hresult, code), Some("ERROR_VMCOMPUTE_UNEXPECTED_EXIT"), "{code}");
        }
    }

    #[test]
    fn looks_where_a_code_comes_from() {
        assert_eq!(name(CodeTable::Hresult, "0x80070070"), Some("ERROR_DISK_FULL"));
        assert_eq!(name(CodeTable::Hresult, "2147943568"), Some("ERROR_NOT_FOUND"));
        assert_eq!(name(CodeTable::Hresult, "0x80070005"), Some("E_ACCESSDENIED"));
        assert_eq!(name(CodeTable::ExitCode, "137"), Some("SIGKILL"));
        assert_eq!(name(CodeTable::ExitCode, "3221225786"), Some("STATUS_CONTROL_C_EXIT"));
    }

    #[test]
    fn does_not_guess() {
        for code in ["", "-", "x", "0x", "216 ", "99999", "99999999999999999999", "-9999999999", "2l6", "0x1800700D8"] {
            let known = name(CodeTable::Win32, code);
            assert_eq!(known.is_some(), code.trim() == "216", "{code:?} is {known:?}");
        }
    }

    #[test]
    fn every_line_of_every_table_is_read() {
        let files = [
            (include_str!("codes/win32.tsv"), &*WIN32),
            (include_str!("codes/hresult.tsv"), &*HRESULT),
            (include_str!("codes/ntstatus.tsv"), &*NTSTATUS),
            (include_str!("codes/exit_code.tsv"), &*EXIT_CODE),
        ];
        for (text, table) in files {
            assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), table.len());
            for meaning in table.values() {
                assert!(!meaning.text.is_empty() && !meaning.name.contains(' '), "{meaning:?}");
            }
        }
    }

    #[test]
    fn names_lead_to_their_tables_and_back() {
        for table in CodeTable::NAMES {
            assert_eq!(CodeTable::from_name(table).map(CodeTable::name), Some(table));
        }
        assert_eq!(CodeTable::from_name("windows"), None);
    }
}
