//! What is a secret and what is not, as a table; fakes are put together here, so that nobody takes them for real ones.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Letters and digits as a real secret has them.
fn letters(count: usize) -> String {
    "Kq7Zt3Xw9Rb5Lm1Vd8Hs2Yc6Nf4Gj0PuTaEoiWxQz".chars().cycle().take(count).collect()
}

fn redact(text: &str) -> String {
    Redactor::standard().redact(text).into_owned()
}

/// `@` in the text stands for the secret, and what is expected in its place.
#[track_caller]
fn check(text: &str, secret: &str, shown: &str) {
    let whole = text.replace('§', secret);
    assert_eq!(redact(&whole), text.replace('§', shown), "{whole}");
}

#[test]
fn tokens_are_known_by_their_form() {
    let jwt = format!("ey{}.ey{}.{}", "JhbGciOiJIUzI1NiJ9", "JzdWIiOiIxMjM0In0", letters(43));
    let cases = [
        (jwt.clone(), "[redacted:jwt]"),
        (jwt[..30].to_owned(), "[redacted:jwt]"),
        (format!("AK{}", "IAQ3EGRZ7WX5YT2NBV"), "[redacted:aws-key]"),
        (format!("AS{}", "IAQ3EGRZ7WX5YT2NBV"), "[redacted:aws-key]"),
        (format!("AI{}{}", "za", letters(35)), "[redacted:gcp-key]"),
        (format!("ya29{}{}", ".a0", letters(60)), "[redacted:gcp-token]"),
        (format!("{}8{}{}", letters(3), "Q~", letters(34)), "[redacted:azure-secret]"),
        (format!("gh{}{}", "p_", letters(36)), "[redacted:github-token]"),
        (format!("github{}{}", "_pat_", letters(82)), "[redacted:github-token]"),
        (format!("gl{}{}", "pat-", letters(20)), "[redacted:gitlab-token]"),
        (format!("xo{}{}", "xb-123456789012-", letters(24)), "[redacted:slack-token]"),
        (format!("np{}{}", "m_", letters(36)), "[redacted:npm-token]"),
        (format!("sk_{}{}", "live_", letters(24)), "[redacted:token]"),
        (format!("hv{}{}", "s.", letters(30)), "[redacted:token]"),
    ];
    let around = ["§", "x §", "(§)", "\"§\"", "got §, failed", r"line\n§\nnext", "a=§;b", "a: §\nb", r#"{"a":"§"}"#];
    for (secret, shown) in &cases {
        around.iter().for_each(|text| check(text, secret, shown));
    }
}

#[test]
fn values_are_known_by_their_names() {
    let around = [
        "password=§",
        "password: §",
        "DB_PASSWORD=§ next",
        "spring.datasource.password=§, user=x",
        r#"{"password":"§","user":"x"}"#,
        r#"{"dbPassword" : "§"}"#,
        r#"{"log":"{\"passwd\":\"§\",\"user\":\"x\"}"}"#,
        r#"{"log":"{\"log\":\"{\\\"pwd\\\":\\\"§\\\",\\\"user\\\":1}\"}"}"#,
        "{'secret': '§', 'x': 1}",
        "map[password:§ user:x]",
        "map[password:[§] user:[x]]",
        "Config{Password:§, User:x}",
        "Server=tcp:db,1433;User ID=sa;Password=§;Encrypt=True",
        "AccountName=acc;AccountKey=§==;EndpointSuffix=core.windows.net",
        "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=§=",
        "https://x.blob.core.windows.net/c?sv=2022-11-02&se=2026-01-01&sig=§%3D&sp=r",
        "GET /login?user=x&password=§&next=%2F HTTP/1.1",
        "client_secret=§",
        "clientSecret: §",
        "aws_secret_access_key = §",
        "AWS_SESSION_TOKEN=§",
        "api_key: \"§\"",
        "apikey=§",
        "X-Api-Key: §",
        "token => '§'",
        "run --password § --user x",
        "run --token=§",
        r#"["--api-token","§"]"#,
        "DB_PASSWORD_1=§",
        "password2=§, x",
        "SECRET_KEY_BASE: §",
        r"{\u0022password\u0022:\u0022§\u0022,\u0022a\u0022:1}",
        r#"{"log":"{\\u0022token\\u0022: \\u0022§\\u0022}"}"#,
        r"\u003cpassword\u003e§\u003c/password\u003e",
        r"?a=1\u0026pwd=§\u0026b=2",
        "%22password%22%3A%22§%22%2C",
        "&quot;password&quot;: &quot;§&quot;, &quot;",
        "CREATE USER x IDENTIFIED BY '§'",
        "ALTER ROLE x WITH PASSWORD '§';",
        "<password>§</password>",
        r#"<add key="Password" value="§" />"#,
        r#"{"name":"DB_PASSWORD","value":"§"}"#,
        "env:\n- name: API_TOKEN\n  value: §\n",
        "password%3D§%26user%3Dx",
        "secret = password = §",
    ];
    for text in around {
        let text = text.replace("§==", "§").replace("§=\"", "§\"").replace("§%3D", "§");
        let text = text.strip_suffix("§=").map_or(text.clone(), |head| format!("{head}§"));
        for secret in ["hunter2hunter2hunter2", "Tr0ub4dor&3/x+y?z!Q", &letters(44)] {
            if text.contains("<password>") && secret.contains('&') {
                continue;
            }
            let shown = if text.starts_with("secret =") { "[redacted] = [redacted]" } else { "[redacted]" };
            let expected = match text.strip_prefix("secret = password = ") {
                Some(_) => "secret = [redacted] = [redacted]".to_owned(),
                None => text.replace('§', shown),
            };
            assert_eq!(redact(&text.replace('§', secret)), expected, "{text} {secret}");
        }
    }
}

/// JSON that spares HTML, as .NET and Go write it, and what is encoded for a URL.
#[test]
fn secrets_are_found_behind_marks_that_are_written_out() {
    let around = [
        r"x\u0026sig=§\u0026y",
        r"\u0022Bearer §\u0022,",
        r"{\u0022Authorization\u0022:\u0022Bearer §\u0022}",
        "%26sig%3D§%26",
        r"\u0022https://u:§@host:80\u0022",
    ];
    around.iter().for_each(|text| check(text, &letters(30), "[redacted]"));
    let aws = format!("AK{}", "IAQ3EGRZ7WX5YT2NBV");
    ["a%3D§%26", r"\u0022§\u0022"].iter().for_each(|text| check(text, &aws, "[redacted:aws-key]"));
    let urls = r"{\u0022url\u0022:\u0022http://host:80\u0022,\u0022user\u0022:\u0022a@b.c\u0022}";
    assert_eq!(redact(urls), urls);
}

/// However far its begin is from the part that was captured.
#[test]
fn a_part_of_a_long_secret_is_one() {
    let redactor = Redactor::standard();
    let key = format!("{}\n", letters(64)).repeat(150);
    let long = [
        format!("a ey{}.{} end", "JhbGciOiJIUzI1NiJ9", letters(60_000)),
        format!("a -----BEGIN PRIV{}ATE KEY-----\n{key}", ""),
        format!("a password={} end", letters(60_000)),
        format!("a password=\"{}\" end", format!("{} ", letters(20)).repeat(450)),
    ];
    for text in &long {
        for at in [100, 4_000, 5_000, 9_000, 40_000, 59_000].into_iter().filter(|at| at + 200 < text.len()) {
            let shown = redactor.part(text, &text[at..at + 100]);
            assert!(shown.trim().starts_with("[redacted") && shown.len() < 30, "{at}: {shown}");
        }
    }
    let text = format!("{} code 5", "word ".repeat(20_000));
    assert_eq!(redactor.part(&text, &text[text.len() - 6..]), "code 5");
}

/// Every name is a reason to look for the end of its value; what was looked at for one must not be looked at for the next.
#[test]
fn what_is_no_secret_takes_no_longer_for_being_repeated() {
    let redactor = Redactor::standard();
    let time = |text: String| {
        let best = |_| {
            let start = std::time::Instant::now();
            std::hint::black_box(redactor.redact(&text));
            start.elapsed()
        };
        (0..3).map(best).min().expect("there were some")
    };
    for unit in
        ["secret,", "sig,", ",pwd", "/a/token,", "pwd%3DC:\\", "secret=:", "token=/a/", "Authorization:a1;", "://a:"]
    {
        let [short, long] = [8 << 10, 128 << 10].map(|bytes: usize| time(unit.repeat(bytes / unit.len())));
        // Sixteen times as long; 256 times as much work if it were not linear.
        assert!(long < short * 100, "{unit}: {short:?} {long:?}");
    }
}

#[test]
fn what_comes_to_no_rest_is_not_shown() {
    let text = "AKIA".repeat(2_000);
    assert_eq!(redact(&text), "[redacted:aws-key]");
    // A pattern that finds its own mark, and something new each time.
    let pattern = Pattern::new(r"\][a-z]").unwrap();
    let redactor = Redactor::new(&Redaction { patterns: vec![pattern], ..Redaction::default() });
    assert_eq!(redactor.redact(&format!("]{}", "a".repeat(30))), REDACTED);
    assert_eq!(redactor.redact("]ab"), "[redacted[redacted]");
}

#[test]
fn users_hosts_and_names_stay() {
    let cases = [
        ("postgres://app:§@db.prod:5432/x", "postgres://app:[redacted]@db.prod:5432/x"),
        ("redis://:§@cache", "redis://:[redacted]@cache"),
        ("amqp://u:a@§@mq/%2F", "amqp://u:[redacted]@mq/%2F"),
        ("mysql://u:a/§@h/db", "mysql://u:[redacted]@h/db"),
        (r#"{"url":"https:\/\/u:§@h\/"}"#, r#"{"url":"https:\/\/u:[redacted]@h\/"}"#),
        ("https://§@sentry.example.com/4", "https://[redacted]@sentry.example.com/4"),
        ("Authorization: Basic §==", "Authorization: Basic [redacted]"),
        (r#"{"Authorization":["Bearer §"]}"#, r#"{"Authorization":["Bearer [redacted]"]}"#),
        (r#"{\"authorization\":\"Bearer §\",\"a\":1}"#, r#"{\"authorization\":\"Bearer [redacted]\",\"a\":1}"#),
        ("map[Authorization:[Bearer §] Accept:[a]]", "map[Authorization:[Bearer [redacted]] Accept:[a]]"),
        ("authorization: §", "authorization: [redacted]"),
        ("Authorization: Digest username=\"u\", response=\"§\"\nx", "Authorization: Digest [redacted]\nx"),
        ("Cookie: a=§; b=§\nHost: x", "Cookie: [redacted]\nHost: x"),
        ("https://hooks.slack.com/services/T0/B0/§", "https://hooks.slack.com/services/[redacted:slack-webhook]"),
        (r#"password="a\"§" x"#, r#"password="[redacted]" x"#),
        (r#"{\"password\":\"a\\\"§\",\"x\":1}"#, r#"{\"password\":\"[redacted]\",\"x\":1}"#),
        ("password='it''s §' x", "password='[redacted]' x"),
        ("\u{1b}[31mpass\u{1b}[1mword=hunter\u{1b}[0m§", "password=[redacted]"),
        (r"\u001b[31mpassword\u001b[0m=§", "password=[redacted]"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(&text.replace('§', &letters(24))), expected, "{text}");
    }
}

#[test]
fn private_keys_go_whole_or_cut() {
    let body = format!("{}\n{}\n{}", letters(64), letters(64), letters(20));
    let (begin, end) =
        (format!("-----BEGIN RSA PRIV{}ATE KEY-----", ""), format!("-----END RSA PRIV{}ATE KEY-----", ""));
    let shown = format!("{begin}[redacted:private-key]");
    for (text, expected) in [
        (format!("a {begin}\n{body}\n{end} b"), format!("a {shown}{end} b")),
        (format!("a {begin}\n{body}"), format!("a {shown}")),
        (format!("a {begin}\n{body} failed"), format!("a {shown} failed")),
        (
            format!("{{\"k\":\"{begin}\n{body}\n{end}\n\"}}").replace('\n', "\\n"),
            format!("{{\"k\":\"{shown}{end}\\n\"}}"),
        ),
        (format!("{body}\n{end} b"), format!("[redacted:private-key]{end} b")),
        (format!("no `{begin}` in file /etc/x of 20 bytes"), format!("no `{begin}` in file /etc/x of 20 bytes")),
    ] {
        assert_eq!(redact(&text), expected, "{text}");
    }
}

#[test]
fn what_helps_is_no_secret() {
    let digest = "sha256:8b1c0d5b1f2a4c6e8b1c0d5b1f2a4c6e8b1c0d5b1f2a4c6e8b1c0d5b1f2a4c6e";
    let image = format!("Failed to pull image \"registry.example.com:5000/shop/api:v1@{digest}\"");
    let texts = [
        image.as_str(),
        "containerd://8b1c0d5b1f2a4c6e8b1c0d5b1f2a4c6e8b1c0d5b1f2a4c6e8b1c0d5b1f2a4c6e exited with 0xC0000142",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 request_id=550e8400-e29b-41d4-a716-446655440000",
        "pod api-token-7d9f8b6c5d-x2x4b on node aks-secret-12345678-vmss000001",
        "MountVolume.SetUp failed for volume \"db-password\" : secret \"db-password\" not found",
        "MountVolume.SetUp failed for volume \"kube-api-token\" : failed to sync configmap cache: timed out",
        "couldn't find key password in Secret shop/db",
        "Error: secret \"db-creds\" not found",
        "\"Couldn't get secret\" secret=\"shop/db-creds\" err=\"not found\"",
        "Access denied for user 'root'@'localhost' (using password: YES)",
        "FATAL: password authentication failed for user \"app\"",
        "Unexpected token: END OF FILE at position 12",
        "unexpected token: '}' at 7",
        "SyntaxError: Unexpected token < in JSON at position 0",
        "max_tokens=4096 token_count=12 token: 3",
        "token=/var/run/secrets/kubernetes.io/serviceaccount/token",
        "PWD=/home/app OLDPWD=/",
        "password=${DB_PASSWORD} token=<nil> secret=***** password=%s pwd=null",
        "RequestHeader(apiKey=PRODUCE): failed, ApiKey::Fetch",
        "signature: java.lang.String of a method, sig=11, sig=SIGSEGV",
        "bearer authentication and basic authentication are required",
        "http://10.0.0.7:8080/healthz@v1 git@github.com:shop/api.git user@example.com",
        "C:\\Windows\\System32\\secret.dll exit code 3221225477 at 2026-11-22T14:51:03.000Z",
        "{\"token\":{\"id\":1},\"secretName\":\"tls\",\"password\":\"\"}",
        "Invalid password: too short",
    ];
    for text in texts {
        assert!(matches!(Redactor::standard().redact(text), Cow::Borrowed(_)), "{}", redact(text));
    }
}

#[test]
fn what_is_configured_goes_too() {
    let patterns = ["ACME-[0-9a-f]{8}", r"PIN (?<secret>\d{4})"].map(|pattern| Pattern::new(pattern).unwrap());
    let redactor = Redactor::new(&Redaction { email: true, patterns: patterns.to_vec(), ..Redaction::default() });
    let shown = redactor.redact("ACME-0123abcd PIN 1234 of a.b@mail.example.com, api@sha256:12");
    assert_eq!(shown, "[redacted] PIN [redacted] of [redacted:email], api@sha256:12");
    let off = Redactor::new(&Redaction { enabled: false, email: true, patterns: patterns.to_vec() });
    assert_eq!(off.redact("\u{1b}[1mPIN 1234 password=x\u{1b}[0m"), "PIN 1234 password=x");
    assert_eq!(Pattern::new("(").unwrap_err().to_string(), "not a valid regex: unclosed group");
    assert!(Pattern::new("x?").is_err() && Pattern::new(r"\w{5000}{50}").is_err());
}

proptest! {
    /// Made of what secrets are made of, in any order.
    #[test]
    fn what_was_redacted_stays(pieces in vec(piece(), 0..12)) {
        let redactor = Redactor::standard();
        let text = pieces.concat();
        let once = redactor.redact(&text).into_owned();
        prop_assert_eq!(&redactor.redact(&once), &once, "{}", text);
        let whole = redactor.part(&text, &text);
        prop_assert!(text.len() > MARGIN_BYTES || whole == once);
    }

    #[test]
    fn nothing_is_too_odd(text in any::<String>(), bytes in 0_usize..40, from in 0_usize..50, length in 0_usize..20) {
        let redactor = Redactor::standard();
        let once = redactor.redact(&text).into_owned();
        prop_assert_eq!(redactor.redact(&once), once.as_str());
        prop_assert!(redactor.sample(&text, bytes).len() <= bytes);
        let part: String = text.chars().skip(from).take(length).collect();
        let start: usize = text.chars().take(from).map(char::len_utf8).sum();
        redactor.part(&text, &text[start..start + part.len()]);
    }
}

fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        "password",
        "token",
        "secret",
        "api_key",
        "sig",
        "=",
        ":",
        " ",
        "\"",
        "'",
        "\\",
        "\\\"",
        ",",
        ";",
        "&",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "/",
        "@",
        "://",
        "user:",
        "\n",
        "\\n",
        "\u{1b}[0m",
        "\u{1b}",
        "\r",
        "\u{200b}",
        "é",
        "value",
        "Authorization",
        "Bearer ",
        "Basic ",
        "cookie",
        "--",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "[redacted]",
        "[redacted:jwt]",
        "hunter2",
        "%3D",
        "eyJ",
        "AKIA",
        "LS0tLS1CRUdJTi",
        "null",
        "hooks.slack.com/services/",
        "\\u001b[0m",
        "is",
        "failed",
    ];
    prop_oneof![4 => select(fixed.map(str::to_owned).to_vec()), 1 => "[A-Za-z0-9_-]{1,40}"]
}
