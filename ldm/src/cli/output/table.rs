//! Columns.

/// Appends a header and rows below it. Where a column begins, says the header; what
/// is longer pushes the rest of its row by one blank.
pub(super) fn table<R, C>(out: &mut String, indent: usize, header: &str, rows: R)
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    let pad = " ".repeat(indent);
    out.push_str(&format!("{pad}{header}\n"));
    for cells in rows {
        out.push_str(&format!("{pad}{}\n", row(header, cells)));
    }
}

/// A row below a header.
pub(super) fn row(header: &str, cells: impl IntoIterator<Item = String>) -> String {
    let begins =
        |&(at, byte): &(usize, u8)| byte != b' ' && (at == 0 || header.as_bytes()[at - 1] == b' ');
    let starts = header.bytes().enumerate().filter(begins).map(|(at, _)| at);
    let (mut row, mut width) = (String::new(), 0);
    for (start, cell) in starts.zip(cells) {
        if width > 0 {
            let blanks = start.saturating_sub(width).max(1);
            row.push_str(&" ".repeat(blanks));
            width += blanks;
        }
        width += cell.chars().count();
        row.push_str(&cell);
        if width == 0 {
            // An empty first cell still takes its place.
            row.push(' ');
            width = 1;
        }
    }
    row.truncate(row.trim_end().len());
    row
}

#[cfg(test)]
mod test {
    use super::row;

    #[test]
    fn what_is_too_long_pushes_the_rest_by_one_blank() {
        let cells = |list: [&str; 3]| list.map(str::to_owned);
        assert_eq!(row("NAME  B   C", cells(["ab", "x", "y"])), "ab    x   y");
        assert_eq!(row("NAME  B   C", cells(["abcdefgh", "x", "y"])), "abcdefgh x y");
        assert_eq!(row("NAME  B   C", cells(["", "x", ""])), "      x");
        assert_eq!(row("NAME  B   C", cells(["ab", "", "y"])), "ab        y");
    }
}
