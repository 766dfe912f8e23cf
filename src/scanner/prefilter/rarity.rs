//! How seldom bytes stand beside each other in log text.
//!
//! The table was counted over the healthy log lines under `tests/fixtures/healthy`, which are what a cluster writes all
//! day; a test counts them again.

/// Letters in either case, digits, and the commoner marks; `other` is the rest.
const CLASSES: usize = 36;

/// Row: class of the first byte, column: of the second. `a` to `z`: 1.6 times the binary logarithm of in how many pairs
/// one is of this kind, rounded.
const PAIRS: [&[u8; CLASSES]; CLASSES] = [
    b"uqpowqqznztopnzpznpmprztsvrrrwtxwuvs",
    b"sxxzozzxuvzqzzrzzsuztzzzszstutwwvuzs",
    b"ozqtnwzptzqpxtmswrrnrzzztztpssuxzvxt",
    b"qszsmxzzpzxsvvqtzsrwrzxzszrmrtrqtrup",
    b"nrnlqprzsvwnomspqkmmtosotzqmprqpxqrp",
    b"ozzzrtzzozruvznzzrrqqzzzxzssxzxzzvwv",
    b"vztzowuuqzzwstpzxrtuszzzzzvnrwrqztvq",
    b"pwvzozzzrzxxxvpzzrzqrxxzwzvqxztwzzxw",
    b"ttopqsqzzzunokmrxsooxrzuztqtvuxxzzxt",
    b"szwxtzzzzzzzzztzzzvzzwzzzzzzxzzzzzzz",
    b"pwuzozvzszzzzvzvxzvzqxzzxzuqvzwzzwvv",
    b"pxvslwzvnzxozznvzusqqvxzrzzptvsqxuvp",
    b"psttmzxzqzzvsxopxxpzuwzxxzwprvvzvwxs",
    b"oxqomnmuoxsvvontxtpmstxuvzumrtrtvsxq",
    b"srpntqpzszrpokppzlponrqszuxnsvozzsws",
    b"pzttozxxqzxowvoqzpspsvzzuzwptzsxzvxr",
    b"zzzzzzzzxzzuzzzxzwzzpzzzzzzzxzzwzzxx",
    b"ovrqlttxpzqtromtznpoqpzzozznprqqvqvp",
    b"qzqvmtpopzsswupquuomquwzpzxnpsrtusup",
    b"mwotltwnlzzsuxnqwopoqwsxszompuqtussq",
    b"vprtptrzszzpsovpzponwzzvzxztzzxzzzwz",
    b"qztznzzzqzzvtzuzzxxzzzzzzzsuzzzzzzwu",
    b"ozxzrzzsqzzzzrqzxvvzzzzzzzusvzzzzxzw",
    b"tzqwtwzzrzzvwzztzxztzzzvwzstvwvzzzxt",
    b"zzvztwzztzzzvsvrzxqxzxzzzzwoswtwvvwr",
    b"vzzztvzzuzzzzzvzzzzzvzzzzzzszxzzztzq",
    b"tqsrrszvzwzzszzzzzspxzzuzpgkklkzpmwn",
    b"npmonnqpnsqnnnontnmmorouuukkvpstzmsm",
    b"suqsswpsrttrvttuzuptvvuzzvkqrzxzzvzt",
    b"tvtvtvzzuxwvvwuvxvsvvzwuzzlqzqzzzzzr",
    b"xzxxxzzzxzzxvxzwzvuxwzvzzzklzzszzsxo",
    b"vxwvvxzzrzuzxxwvzwwwzxuzzzqtzxzxzvzn",
    b"vzzzzzzzzzzzzxzzzwzzxzzzzzqpzzzzzwzo",
    b"uvtusztvrxtswqtsztsvvwtzxznltzqxtqwo",
    b"zxtuvwxvvzzvvvwwzusuvxvxzxvszzzzzwtx",
    b"qxpqpsssrwrpqrsqvppqssqwzzmmusnzoqxo",
];

/// The higher, the rarer the commonest four bytes in a row (or fewer, of a shorter text) of the folded bytes are.
pub(super) fn of(bytes: &[u8]) -> u32 {
    bytes.windows(bytes.len().min(super::GRAM)).map(of_gram).min().unwrap_or(0)
}

fn of_gram(gram: &[u8]) -> u32 {
    gram.array_windows().map(|&[first, second]| u32::from(PAIRS[class(first)][class(second)] - b'a')).sum()
}

fn class(byte: u8) -> usize {
    match byte | super::FOLD {
        letter @ b'a'..=b'z' => usize::from(letter - b'a'),
        b'0'..=b'9' => 26,
        b' ' => 27,
        b'.' => 28,
        b'-' => 29,
        b':' => 30,
        b'=' => 31,
        b',' => 32,
        b'(' | b')' | b'{' | b'|' | b'}' => 33,
        // `_`, folded.
        0x7f => 34,
        _ => 35,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_table_is_that_of_the_healthy_lines() {
        let mut counts = [[0u32; CLASSES]; CLASSES];
        for file in fs::read_dir("tests/fixtures/healthy").unwrap() {
            let text = fs::read(file.unwrap().path()).unwrap();
            for line in text.split(|&byte| byte == b'\n') {
                line.array_windows().for_each(|&[first, second]| counts[class(first)][class(second)] += 1);
            }
        }
        let total: u32 = counts.iter().flatten().sum();
        let counted = counts.map(|row| row.map(|count| letter(f64::from(total), f64::from(count))));
        let differ = counted.iter().flatten().zip(PAIRS.iter().flat_map(|row| *row)).filter(|(a, b)| a != b).count();
        let rows: Vec<_> = counted.iter().map(|row| format!("    b\"{}\",", String::from_utf8_lossy(row))).collect();
        // A few more lines change little; the table need not follow each.
        assert!(differ < CLASSES * CLASSES / 10, "{differ} pairs differ; counted:\n{}", rows.join("\n"));
    }

    fn letter(total: f64, count: f64) -> u8 {
        b'a' + (1.6 * (total / (count + 0.5)).log2()).round().min(25.0) as u8
    }

    #[test]
    fn common_words_are_no_rarities() {
        for (common, rare) in [("the", "xqz"), ("error: ", "goexit "), ("request", "mkfs.ext")] {
            assert!(of(common.as_bytes()) < of(rare.as_bytes()), "{common} {rare}");
        }
    }
}
