//! Types of columns, literals for them, and how a value is read so that two readings are equal only if the values are.

use fastrand::Rng;

use crate::sql::{Dialect, quoted, text};

/// A type that keys are made of. A number stands for a value: equal numbers, equal values, even where their spelling differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Small,
    Int,
    UnsignedInt,
    Big,
    UnsignedBig,
    Decimal,
    Date,
    Moment,
    /// A collation in which upper and lower case are equal.
    Text,
    /// One in which they are not.
    ExactText,
    Latin,
    Binary,
}

impl KeyKind {
    pub(crate) const ALL: [Self; 12] = [
        Self::Small,
        Self::Int,
        Self::UnsignedInt,
        Self::Big,
        Self::UnsignedBig,
        Self::Decimal,
        Self::Date,
        Self::Moment,
        Self::Text,
        Self::ExactText,
        Self::Latin,
        Self::Binary,
    ];

    pub(crate) fn random(random: &mut Rng) -> Self {
        // Most keys are numbers, as in most schemas.
        if random.u32(0..10) < 6 { Self::ALL[random.usize(1..5)] } else { Self::ALL[random.usize(..Self::ALL.len())] }
    }

    pub(crate) fn sql(self, dialect: Dialect) -> &'static str {
        match self {
            Self::Small => "SMALLINT",
            Self::Int => "INT",
            Self::UnsignedInt => "INT UNSIGNED",
            Self::Big => "BIGINT",
            Self::UnsignedBig => "BIGINT UNSIGNED",
            Self::Decimal => "DECIMAL(12,3)",
            Self::Date => "DATE",
            Self::Moment => "DATETIME(6)",
            Self::Text if dialect.mariadb => "VARCHAR(24) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci",
            Self::Text => "VARCHAR(24) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
            Self::ExactText => "VARCHAR(24) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            Self::Latin => "CHAR(12) CHARACTER SET latin1 COLLATE latin1_swedish_ci",
            Self::Binary => "BINARY(16)",
        }
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::Small | Self::Int | Self::UnsignedInt | Self::Big | Self::UnsignedBig)
    }

    /// An integer type that holds less, and that an ALTER can widen to this one.
    pub(crate) fn narrower(self) -> Option<Self> {
        match self {
            Self::Int | Self::Big => Some(Self::Small),
            Self::UnsignedBig => Some(Self::UnsignedInt),
            _ => None,
        }
    }

    pub(crate) fn literal(self, number: u64, random: &mut Rng) -> String {
        match self {
            Self::Small | Self::Int | Self::UnsignedInt | Self::Big | Self::UnsignedBig => number.to_string(),
            Self::Decimal => format!("{number}.125"),
            Self::Date => format!("DATE'2000-01-01' + INTERVAL {number} DAY"),
            Self::Moment => format!("TIMESTAMP'2000-01-01 00:00:00.000001' + INTERVAL {number} DAY"),
            Self::Text | Self::Latin => {
                let spelled = format!("key-{number}");
                text(&if random.u32(0..4) == 0 { spelled.to_uppercase() } else { spelled })
            }
            Self::ExactText => text(&format!("Kéy-{number}")),
            Self::Binary => format!("x'{number:032x}'"),
        }
    }
}

/// A type of a column that only carries something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    Decimal,
    Float,
    Double,
    Bit,
    Year,
    Time,
    Moment,
    Touched,
    Latin,
    Text,
    Blob,
    Json,
    Enum,
    Set,
    Point,
    Hidden,
    Virtual,
    Stored,
    Filled,
}

impl Payload {
    pub(crate) const ALL: [Self; 19] = [
        Self::Decimal,
        Self::Float,
        Self::Double,
        Self::Bit,
        Self::Year,
        Self::Time,
        Self::Moment,
        Self::Touched,
        Self::Latin,
        Self::Text,
        Self::Blob,
        Self::Json,
        Self::Enum,
        Self::Set,
        Self::Point,
        Self::Hidden,
        Self::Virtual,
        Self::Stored,
        Self::Filled,
    ];

    /// Type and attributes; `number` is a column of numbers of the same table.
    pub(crate) fn sql(self, number: &str, dialect: Dialect) -> String {
        match self {
            Self::Decimal => "DECIMAL(20,6) NULL".into(),
            Self::Float => "FLOAT NOT NULL".into(),
            Self::Double => "DOUBLE NULL".into(),
            Self::Bit => "BIT(17) NULL".into(),
            Self::Year => "YEAR NULL".into(),
            Self::Time => "TIME(3) NULL".into(),
            Self::Moment => "DATETIME(6) NULL".into(),
            Self::Touched => "TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)".into(),
            Self::Latin => "CHAR(9) CHARACTER SET latin1 NOT NULL".into(),
            Self::Text => "MEDIUMTEXT CHARACTER SET utf8mb4 NULL".into(),
            Self::Blob => "BLOB NULL".into(),
            Self::Json => "JSON NULL".into(),
            Self::Enum => "ENUM('one','t''wo','back\\\\slash') NOT NULL".into(),
            Self::Set => "SET('x','y','z') NULL".into(),
            Self::Point if dialect.mariadb => "POINT REF_SYSTEM_ID=4326 NULL".into(),
            Self::Point => "POINT NULL SRID 4326".into(),
            Self::Hidden if dialect.invisible_columns => "INT NULL INVISIBLE".into(),
            Self::Hidden => "INT NULL".into(),
            Self::Virtual => format!("BIGINT AS ({} * 2) VIRTUAL", quoted(number)),
            Self::Stored => format!("BIGINT AS ({} + 7) STORED", quoted(number)),
            Self::Filled => "VARCHAR(40) NOT NULL DEFAULT 'it''s the default' COMMENT 'what''s \\\\ this'".into(),
        }
    }

    /// Whether the server computes it.
    pub(crate) fn generated(self) -> bool {
        matches!(self, Self::Virtual | Self::Stored)
    }

    pub(crate) fn literal(self, random: &mut Rng) -> String {
        let nullable = !matches!(self, Self::Float | Self::Touched | Self::Latin | Self::Enum | Self::Filled);
        if nullable && random.u32(0..6) == 0 {
            return "NULL".to_owned();
        }
        let number = random.u32(0..100_000);
        match self {
            Self::Decimal => format!("-{number}.000001"),
            Self::Float => format!("1{number}.8e{}", random.i32(-20..20)),
            Self::Double => format!("0.{number}e{}", random.i32(-300..300)),
            Self::Bit => format!("b'{:017b}'", number % 131_072),
            Self::Year => (1901 + number % 254).to_string(),
            Self::Time => format!("'-{}:59:59.{:03}'", number % 838, number % 1000),
            Self::Moment => format!("TIMESTAMP'1000-01-01 00:00:00' + INTERVAL {number} HOUR + INTERVAL 1 MICROSECOND"),
            Self::Touched => format!("TIMESTAMP'2001-01-01 00:00:00' + INTERVAL {number} SECOND"),
            Self::Latin => "'café'".to_owned(),
            Self::Text => text(&format!("A\u{1F600}\\'\"\0{number}{}", "x".repeat((number % 50) as usize))),
            Self::Blob => format!("x'00ff{number:08x}'"),
            Self::Json => format!("'{{\"b\": 1.10, \"a\": [null, {number}]}}'"),
            Self::Enum => ["'one'", "'t''wo'", "'back\\\\slash'"][number as usize % 3].to_owned(),
            Self::Set => ["''", "'x,z'", "'y'"][number as usize % 3].to_owned(),
            Self::Point => format!("ST_GeomFromText('POINT({} {})', 4326)", number % 90, number % 180),
            Self::Hidden => format!("-{number}"),
            Self::Virtual | Self::Stored => "DEFAULT".to_owned(),
            Self::Filled => text(&format!("filled {number}")),
        }
    }

    /// An expression that shows the whole value as text; the session's time zone is UTC.
    pub(crate) fn shown(self, column: &str) -> String {
        let column = quoted(column);
        match self {
            // A FLOAT prints fewer digits than it holds.
            Self::Float => format!("CAST({column} + 0e0 AS CHAR)"),
            Self::Bit | Self::Latin | Self::Text | Self::Blob | Self::Filled => format!("HEX({column})"),
            Self::Enum | Self::Set => format!("CAST({column} + 0 AS CHAR)"),
            Self::Point => format!("CONCAT(ST_SRID({column}), ' ', HEX(ST_AsWKB({column})))"),
            _ => format!("CAST({column} AS CHAR)"),
        }
    }
}

/// The same for a type of keys.
pub(crate) fn shown_key(kind: KeyKind, column: &str) -> String {
    match kind {
        KeyKind::Text | KeyKind::ExactText | KeyKind::Latin | KeyKind::Binary => format!("HEX({})", quoted(column)),
        _ => format!("CAST({} AS CHAR)", quoted(column)),
    }
}
