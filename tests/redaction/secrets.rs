//! Fakes of every kind, put together here so that nobody takes them for real ones, and where they may stand in a line.

/// A secret as a program would print it.
pub struct Planted {
    pub kind: &'static str,
    /// With what it is known by.
    pub text: String,
    /// What must not get out.
    pub secret: String,
}

/// Letters and digits in no order, others for every seed.
pub fn random(seed: u64, count: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[(state >> 33) as usize % LETTERS.len()])
    };
    (0..count).map(|_| next()).collect()
}

/// One of every kind.
pub fn all() -> Vec<Planted> {
    let mut seed = 0;
    let mut of = |count| {
        seed += 1;
        random(seed, count)
    };
    let upper = |text: String| text.to_uppercase().replace(['0', '1', '8', '9'], "Q");
    let forms = [
        ("jwt", format!("ey{}.ey{}.{}", "J".to_owned() + &of(30), "J".to_owned() + &of(80), of(43))),
        ("aws id", format!("AK{}{}", "IA", upper(of(16)))),
        ("gcp key", format!("AI{}{}", "za", of(35))),
        ("github", format!("gh{}{}", "p_", of(36))),
        ("github fine", format!("github{}{}", "_pat_", of(82))),
        ("gitlab", format!("gl{}{}", "pat-", of(20))),
        ("slack", format!("xo{}{}", "xb-123456789012-", of(24))),
        ("npm", format!("np{}{}", "m_", of(36))),
        ("azure secret", format!("{}8{}{}", of(3), "Q~", of(34))),
    ];
    let key = |of: &mut dyn FnMut(usize) -> String, end: &str| {
        let mut lines: Vec<String> = (0..12).map(|_| format!("M{}", of(63))).collect();
        lines.push(of(20));
        lines.join(end)
    };
    let named = [
        ("bearer", "Authorization: Bearer § "),
        ("bearer alone", "sent bearer § twice"),
        ("basic", "authorization: Basic §== "),
        ("aws secret", "aws_secret_access_key=§/+x"),
        ("azure account", "AccountName=acc;AccountKey=§==;EndpointSuffix=core.windows.net"),
        ("service bus", "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=R;SharedAccessKey=§="),
        ("azure sas", "https://x.blob.core.windows.net/c?sv=2022-11-02&sr=b&sig=§%3D&sp=r"),
        ("url", "postgres://app:§@db.prod:5432/orders"),
        ("url at", "amqp://app:§@@mq.prod/%2F"),
        ("password", "password=§, user=app"),
        ("yaml", "db_password: §"),
        ("cut by nothing", "passwd=§"),
        ("client secret", "client_secret='§'"),
        ("api key", "X-Api-Key: §"),
        ("query", "GET /v1?access_token=§&limit=5"),
        ("option", "exec: app --password § --verbose"),
        ("ado", "Server=tcp:db,1433;User ID=sa;Password=§;Encrypt=True"),
        ("spaces", "secret=\"§ §\""),
    ];
    let forms = forms.map(|(kind, secret)| Planted { kind, text: secret.clone(), secret });
    let mut all: Vec<Planted> = forms.into();
    for (kind, text) in named {
        let secret = of(24);
        all.push(Planted { kind, text: text.replace('§', &secret), secret });
    }
    for (kind, end) in [("pem", "\n"), ("pem on a line", "\\n")] {
        let secret = key(&mut of, end);
        let (begin, last) = ("-----BEGIN RSA PRIV", "-----END RSA PRIV");
        let text = format!("{begin}ATE KEY-----{end}{secret}{end}{last}ATE KEY-----");
        all.push(Planted { kind, text, secret });
    }
    let secret = key(&mut of, "\n");
    all.push(Planted { kind: "cut pem", text: format!("-----BEGIN PRIV{}ATE KEY-----\n{secret}", ""), secret });
    all
}

/// Lines that hold the text, and a signature.
pub fn lines(signature: &str, text: &str) -> Vec<(&'static str, String)> {
    let json = |text: &str| serde_json::json!({"level": "error", "msg": text, "n": 1}).to_string();
    let plain = format!("{text} {signature}");
    vec![
        ("before", plain.clone()),
        ("behind", format!("{signature} with {text}")),
        ("in brackets", format!("{signature} [{text}]")),
        ("in quotes", format!("{signature} \"{text}\" x")),
        ("on a line", format!("{signature}\n{text}\nnext")),
        ("json", json(&plain)),
        ("json in json", json(&json(&plain))),
        ("json behind", format!("{signature} {}", json(text))),
        ("coloured", format!("\u{1b}[31m{text}\u{1b}[0m {signature}")),
        ("in a long line", format!("{signature} {} {text} {}", "lorem ipsum ".repeat(20), "dolor ".repeat(2000))),
        ("twice", format!("{text} {signature} {text}")),
    ]
}

/// The text with an escape sequence in the midst of the secret.
pub fn interrupted(planted: &Planted) -> String {
    let middle = planted.secret.floor_char_boundary(planted.secret.len() / 2);
    let (first, second) = planted.secret.split_at(middle);
    planted.text.replace(&planted.secret, &format!("{first}\u{1b}[1m\u{1b}[7m{second}\u{200b}"))
}

/// The first piece of the secret of so many letters and digits that is in the text.
pub fn piece_in(text: &str, secret: &str) -> Option<String> {
    const PIECE: usize = 8;
    let pieces = secret.as_bytes().windows(PIECE).filter(|piece| piece.iter().all(u8::is_ascii_alphanumeric));
    let pieces = pieces.map(|piece| String::from_utf8_lossy(piece).into_owned());
    pieces.into_iter().find(|piece| text.contains(piece.as_str()))
}
