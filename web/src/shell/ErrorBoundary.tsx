import { Component, type ReactNode } from "react";
import { ErrorState } from "./states";

/** Keeps a fault of one page from taking the whole workspace down. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error)
      return (
        <ErrorState title="This page failed" error={this.state.error} retry={() => this.setState({ error: null })} />
      );
    return this.props.children;
  }
}
