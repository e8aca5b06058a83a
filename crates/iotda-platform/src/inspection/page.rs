//! The web page, as files that are part of the program: one of HTML, one of CSS, and modules of JavaScript. They hold
//! nothing that was received: the page asks for that as any other program would.

/// The type and the text of the file at a path.
pub(super) fn file(path: &str) -> Option<(&'static str, &'static str)> {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    Some(match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        "/page/style.css" => ("text/css; charset=utf-8", include_str!("page/style.css")),
        "/page/icon.svg" => ("image/svg+xml", include_str!("page/icon.svg")),
        "/page/main.js" => (SCRIPT, include_str!("page/main.js")),
        "/page/rows.js" => (SCRIPT, include_str!("page/rows.js")),
        "/page/charts.js" => (SCRIPT, include_str!("page/charts.js")),
        "/page/devices.js" => (SCRIPT, include_str!("page/devices.js")),
        "/page/faults.js" => (SCRIPT, include_str!("page/faults.js")),
        "/page/text.js" => (SCRIPT, include_str!("page/text.js")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 9] = [
        "/",
        "/page/style.css",
        "/page/icon.svg",
        "/page/main.js",
        "/page/rows.js",
        "/page/charts.js",
        "/page/devices.js",
        "/page/faults.js",
        "/page/text.js",
    ];

    /// Ways to make markup or code of a text, none of which the policy for content would stop in every browser.
    #[test]
    fn no_text_becomes_markup_or_code() {
        for path in PATHS {
            let (_, text) = file(path).expect("a file");
            for bad in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"]
            {
                assert!(!text.contains(bad), "{path} has {bad}");
            }
            let lower = text.to_ascii_lowercase();
            for bad in [" onclick=", " onload=", " onerror=", " style=", "javascript:"] {
                assert!(!lower.contains(bad), "{path} has {bad}");
            }
            // Without the internet.
            let outside = lower.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("http://") && !outside.contains("src=\"//"), "{path}");
        }
    }

    #[test]
    fn every_kind_of_fault_has_a_form() {
        let script = include_str!("page/faults.js");
        let rows = include_str!("../lib.rs").lines().filter(|row| row.contains("| `{\"kind\":"));
        for name in rows.filter_map(|row| row.split('`').nth(1)) {
            assert!(script.contains(&format!("\n  {name}: [")), "{name}");
        }
    }
}
