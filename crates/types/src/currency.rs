//! ISO 4217 currencies and their exponents.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A currency code of three capital letters. Whether it exists is the [`CurrencyTable`]'s to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// From a code of three capital ASCII letters; anything else is `None`.
    pub fn new(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// The code.
    #[inline]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("capital ASCII letters are UTF-8")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let expected = "three capital letters (ISO 4217)";
        Self::new(&code)
            .ok_or_else(|| serde::de::Error::invalid_value(serde::de::Unexpected::Str(&code), &expected))
    }
}

/// Codes with an exponent other than 2. Source: ISO 4217 list one, amendment 177.
const OTHER_EXPONENTS: &[(u8, &str)] = &[
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// Codes with two decimals. Source: as above; funds, metals and test codes without a minor unit are left out.
const EXPONENT_TWO: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP \
    BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP \
    GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD \
    MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB \
    SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU \
    UZS VED VES WST XCD XCG YER ZAR ZMW ZWG";

/// Most decimals a currency may have: a unit is then still far below `i64::MAX` minor units.
pub const MAX_EXPONENT: u8 = 6;

/// Which currencies exist, and how many decimals each has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrencyTable {
    exponents: BTreeMap<Currency, u8>,
}

impl CurrencyTable {
    /// ISO 4217.
    pub fn iso_4217() -> Self {
        let mut exponents = BTreeMap::new();
        let groups = OTHER_EXPONENTS.iter().copied().chain([(2, EXPONENT_TWO)]);
        for (exponent, codes) in groups {
            for code in codes.split_whitespace() {
                let currency = Currency::new(code).expect("the table holds codes of three capital letters");
                exponents.insert(currency, exponent);
            }
        }
        Self { exponents }
    }

    /// ISO 4217 with rows added or replaced by configuration.
    pub fn with_overrides(overrides: &BTreeMap<Currency, u8>) -> Self {
        let mut table = Self::iso_4217();
        table.exponents.extend(overrides);
        table
    }

    /// Decimals of a currency; `None` if the currency is unknown.
    pub fn exponent(&self, currency: Currency) -> Option<u8> {
        self.exponents.get(&currency).copied()
    }

    /// The currency with this code, if the table has it.
    pub fn find(&self, code: &str) -> Option<Currency> {
        Currency::new(code).filter(|currency| self.exponents.contains_key(currency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_of_iso_4217() {
        let table = CurrencyTable::iso_4217();
        let cases = [("JPY", Some(0)), ("CZK", Some(2)), ("BHD", Some(3)), ("CLF", Some(4)), ("ABC", None)];
        for (code, exponent) in cases {
            assert_eq!(Currency::new(code).and_then(|currency| table.exponent(currency)), exponent, "{code}");
        }
        for code in ["", "eur", "EURO", "E1R", "€"] {
            assert_eq!(table.find(code), None, "{code}");
        }
    }

    #[test]
    fn configuration_overrides_a_row() {
        let bitcoin = Currency::new("XBT").expect("three letters");
        let table = CurrencyTable::with_overrides(&BTreeMap::from([(bitcoin, 6)]));
        assert_eq!(table.exponent(bitcoin), Some(6));
    }

    #[test]
    fn no_code_stands_twice() {
        let listed = OTHER_EXPONENTS.iter().flat_map(|(_, codes)| codes.split_whitespace()).count()
            + EXPONENT_TWO.split_whitespace().count();
        assert_eq!(listed, CurrencyTable::iso_4217().exponents.len());
    }
}
