//! What is a secret and what is not, as a table; fakes are put together here, so that nobody takes them for real ones.

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
