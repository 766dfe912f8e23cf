//! Who wrote a line, from the path of the file that it was read from, for records that have lost the rest.

use std::borrow::Cow;

use super::kubernetes::fill;
use crate::record::Source;

/// Fills what is missing from kubelet's `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<n>.log` or the
/// runtime's `/var/log/containers/<pod>_<namespace>_<container>-<id>.log`, whatever the separator.
pub(super) fn fill_source(source: &mut Source<'_>, path: &str) {
    if source.pod.is_some() && source.namespace.is_some() && source.container.is_some() {
        return;
    }
    let parts: Vec<&str> = path.rsplit(['/', '\\']).take(4).collect();
    match parts.as_slice() {
        [_, container, pod_folder, "pods"] => {
            let mut names = pod_folder.splitn(3, '_');
            if let (Some(namespace), Some(pod), Some(uid)) = (names.next(), names.next(), names.next()) {
                fill(&mut source.namespace, named(namespace));
                fill(&mut source.pod, named(pod));
                fill(&mut source.pod_uid, named(uid));
                fill(&mut source.container, named(container));
            }
        }
        [file, "containers", ..] => {
            let mut names = file.splitn(3, '_');
            if let (Some(pod), Some(namespace), Some(rest)) = (names.next(), names.next(), names.next()) {
                fill(&mut source.pod, named(pod));
                fill(&mut source.namespace, named(namespace));
                fill(&mut source.container, rest.rsplit_once('-').and_then(|(container, _)| named(container)));
            }
        }
        _ => {}
    }
}

fn named<'a>(text: &str) -> Option<Cow<'a, str>> {
    (!text.is_empty()).then(|| Cow::Owned(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_layouts() {
        let cases = [
            ("/var/log/pods/shop_cd-0_9d6619c0-5989/web/0.log", Some("9d6619c0-5989")),
            (r"C:\var\log\pods\shop_cd-0_9d6619c0-5989\web\0.log", Some("9d6619c0-5989")),
            ("/var/log/containers/cd-0_shop_web-02d45318f220ad.log", None),
        ];
        for (path, uid) in cases {
            let mut source = Source::default();
            fill_source(&mut source, path);
            let found = (source.namespace.as_deref(), source.pod.as_deref(), source.container.as_deref());
            assert_eq!(found, (Some("shop"), Some("cd-0"), Some("web")), "{path}");
            assert_eq!(source.pod_uid.as_deref(), uid, "{path}");
        }
    }

    #[test]
    fn keeps_what_is_known_and_ignores_other_paths() {
        let mut source = Source { pod: Some("known".into()), ..Source::default() };
        fill_source(&mut source, "/var/log/pods/shop_cd-0_u/web/0.log");
        assert_eq!((source.pod.as_deref(), source.namespace.as_deref()), (Some("known"), Some("shop")));
        for path in ["", "/", "/var/log/syslog", "pods", "/var/log/pods/x/y/z", "/containers/a_b"] {
            let mut source = Source::default();
            fill_source(&mut source, path);
            assert_eq!(source, Source::default(), "{path}");
        }
    }
}
