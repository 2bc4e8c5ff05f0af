/// A number of things in words: `1 model`, `2 models`, `0 models`.
///
/// - Parameter many: the plural, where it is not the singular and an s.
package func counted(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(count) \(count == 1 ? one : many ?? one + "s")"
}
