//! A record with one of its fields altered, for tests: is each field noticed by a digest,
//! and refused by whoever loads it when it breaks a rule?

use super::Schema;
use serde_json::Value;
use std::collections::BTreeMap;

/// The record with one leaf altered, for each leaf and each way to alter it: where and how,
/// and the record. A value that the field's own type cannot hold is left out.
#[must_use]
pub fn altered<S: Schema>(record: &S) -> Vec<(String, S)> {
    let value = serde_json::to_value(record).unwrap_or_default();
    let all = alterations(&value).into_iter();
    all.filter_map(|(path, value)| Some((path, serde_json::from_value(value).ok()?))).collect()
}

/// Fields of which the record has no value: options that are none and lists that are empty,
/// wherever they occur. An alteration of what is in them was not tried then. Places in lists
/// are not told apart.
#[must_use]
pub fn hollow<S: Schema>(record: &S) -> Vec<String> {
    let mut full = BTreeMap::new();
    look(&serde_json::to_value(record).unwrap_or_default(), "", &mut full);
    full.into_iter().filter(|(_, full)| !full).map(|(path, _)| path).collect()
}

fn look(value: &Value, path: &str, full: &mut BTreeMap<String, bool>) {
    let mut note = |is: bool| *full.entry(path.to_owned()).or_default() |= is;
    match value {
        Value::Null => note(false),
        Value::Array(items) => {
            note(!items.is_empty());
            items.iter().for_each(|item| look(item, &format!("{path}[]"), full));
        }
        Value::Object(fields) => {
            note(true);
            fields.iter().for_each(|(name, field)| look(field, &format!("{path}.{name}"), full));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => note(true),
    }
}

fn alterations(value: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    match value {
        Value::Number(number) => {
            let signed = number.as_u64().is_none();
            let number = number.as_u64().or(number.as_i64().map(i64::cast_unsigned));
            let number = number.unwrap_or_default();
            for other in [number.wrapping_add(1), number ^ 0x80, number ^ 1 << 62, 0] {
                let value = match signed {
                    true => Value::from(other.cast_signed()),
                    false => Value::from(other),
                };
                if other != number {
                    all.push((format!(" = {value}"), value));
                }
            }
        }
        Value::Bool(is) => all.push((format!(" = {}", !is), Value::Bool(!is))),
        Value::String(text) => {
            all.push((" longer".to_owned(), Value::from(format!("{text}x"))));
            if !text.is_empty() {
                all.push((" empty".to_owned(), Value::from("")));
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                for (path, item) in alterations(item) {
                    let mut items = items.clone();
                    items[at] = item;
                    all.push((format!("[{at}]{path}"), Value::Array(items)));
                }
                let rest = [&items[..at], &items[at + 1..]].concat();
                all.push((format!("[{at}] gone"), Value::Array(rest)));
                let twice = [&items[..=at], &items[at..]].concat();
                all.push((format!("[{at}] twice"), Value::Array(twice)));
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                for (path, field) in alterations(field) {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), field);
                    all.push((format!(".{name}{path}"), Value::Object(fields)));
                }
                if !field.is_null() {
                    // Gone, where the field is an option; elsewhere it does not parse.
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), Value::Null);
                    all.push((format!(".{name} none"), Value::Object(fields)));
                }
            }
        }
        Value::Null => {}
    }
    all
}
