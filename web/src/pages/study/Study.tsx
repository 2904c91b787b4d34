export default function Study() {
  return null;
}
