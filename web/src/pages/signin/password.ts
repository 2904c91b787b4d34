/** Characters that a password needs at least: NIST SP 800-63B-4, where the password is all there is. */
export const SHORTEST = 15;

export interface Advice {
  text: string;
  met: boolean;
}

/** Return what is to be said about a new password, and what of it is met. Length counts; signs and digits are not asked for. */
export function advice(password: string, login = ""): Advice[] {
  const long = [...password].length;
  const own = login.trim().toLowerCase();
  return [
    {
      text: `At least ${SHORTEST} characters: a few words that do not belong together are good`,
      met: long >= SHORTEST,
    },
    {
      text: "Not the user name, and not one sign again and again",
      met: long > 0 && new Set(password).size > 4 && !(own.length > 2 && password.toLowerCase().includes(own)),
    },
  ];
}

export function acceptable(password: string, login = ""): boolean {
  return advice(password, login).every((one) => one.met);
}
