/** An answer that is not a value: go there instead. Sign-in with an identity provider ends with one. */

export class Redirect {
  readonly url: string

  constructor(url: string) {
    this.url = url
  }
}
