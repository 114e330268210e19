//! Texts with columns in them: `order-{order_id}`.

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// As it stands.
    Text(String),
    /// The value of a column.
    Column(String),
}

/// Splits a template into text and columns. `{{` and `}}` stand for braces.
pub(crate) fn parse(template: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(position) = rest.find(['{', '}']) {
        text.push_str(&rest[..position]);
        let from_brace = &rest[position..];
        if let Some(after) = from_brace.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = from_brace.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else if let Some(after) = from_brace.strip_prefix('{') {
            let Some((column, after)) = after.split_once('}') else {
                return Err(format!(
                    "template \"{template}\": a \"{{\" is not closed; write \"{{{{\" for a brace"
                ));
            };
            if column.is_empty() {
                return Err(format!(
                    "template \"{template}\": expected the name of a column between the braces"
                ));
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Column(column.to_owned()));
            rest = after;
        } else {
            return Err(format!(
                "template \"{template}\": a \"}}\" was not opened; write \"}}}}\" for a brace"
            ));
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    if !parts.iter().any(|part| matches!(part, Part::Column(_))) {
        return Err(format!("template \"{template}\" names no column: use constant for a fixed text"));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_split_into_their_parts() {
        let text = |text: &str| Part::Text(text.to_owned());
        let column = |name: &str| Part::Column(name.to_owned());
        let cases = [
            ("order-{order_id}", vec![text("order-"), column("order_id")]),
            ("{a}-{b}", vec![column("a"), text("-"), column("b")]),
            ("{{x}}{a}", vec![text("{x}"), column("a")]),
            ("{a}", vec![column("a")]),
        ];
        for (template, expected) in cases {
            assert_eq!(parse(template), Ok(expected), "{template}");
        }
        let broken = [
            ("order-{id", "is not closed"),
            ("id}", "was not opened"),
            ("{}", "expected the name of a column"),
            ("fixed", "names no column"),
            ("", "names no column"),
        ];
        for (template, expected) in broken {
            let error = parse(template).expect_err(template);
            assert!(error.contains(expected), "{error}");
        }
    }
}
